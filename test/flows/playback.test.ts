import { readFile } from 'node:fs/promises';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClipSpec, makeClips } from '../../src/demo/clips.ts';
import { lookFromElsewhere } from '../media/support/look-at.ts';
import { playFromElsewhere } from '../media/support/play.ts';
import { useFolder } from '../media/support/pool.ts';
import { CHROMIUM, launchBrowser } from '../support/browser.ts';
import { graphql } from '../support/graphql.ts';
import { createProducer, type ProductTask } from './product-tasks.ts';
import { type ProvingGround, startProvingGround } from './proving-ground.ts';

const SECONDS = 6;
const CLIPS = {
  copied: {},
  encoded: { container: 'webm', videoCodec: 'vp8', audioCodec: 'vorbis' },
  turned: { rotation: 90 },
  version: { seed: 2 },
  nextVersion: { seed: 3 },
} as const satisfies Record<string, ClipSpec>;

const MADE = graphql(`
  query PlaybackVideo($id: ID!) {
    video(id: $id) {
      posterUrl storyboardUrl
      hls { videoUrl }
      systemMetadata { width height duration }
    }
  }
`);

describe.skipIf(CHROMIUM === undefined)('what is made of a video, in Chromium at another origin', () => {
  const inFolder = useFolder();
  let ground: ProvingGround;
  let producer: ReturnType<typeof createProducer>;
  let browser: Browser;
  let paths: ReadonlyMap<string, string>;
  let tasks: ReadonlyMap<string, ProductTask>;

  beforeAll(async () => {
    const shared = { width: 640, height: 360, seconds: SECONDS };
    const specs = Object.entries(CLIPS).map(([name, spec]) => ({ ...shared, ...spec, name }));
    [paths, ground, browser] = await Promise.all([
      makeClips(specs, inFolder('clips')),
      startProvingGround(),
      launchBrowser(),
    ]);
    producer = createProducer(ground.client);
    const import_ = async (name: string) =>
      [name, await producer.create({ from: { url: await put(name) }, fullIngestion: true })] as const;
    tasks = new Map(await Promise.all(['copied', 'encoded', 'turned'].map(import_)));
  });
  afterAll(async () => {
    await browser?.close();
    await ground?.stop();
  });

  const put = async (name: string) => ground.origin.put({ bytes: await readFile(paths.get(name) ?? '') });
  const look = async (id: string) => (await ground.client.query(MADE, { id })).video;

  it.each([
    ['copied', { width: 640, height: 360 }],
    ['encoded', { width: 640, height: 360 }],
    ['turned', { width: 360, height: 640 }],
  ] as const)(
    'plays to its end, with a poster and a storyboard: %s',
    async (name, size) => {
      const task = await producer.end(tasks.get(name)?.id ?? '');
      expect(task).toMatchObject({ status: 'READY', hls: { status: 'COMPLETE' } });
      const video = await look(task.videoId);
      expect(video?.systemMetadata).toMatchObject(size);
      const playlist = video?.hls?.videoUrl ?? '';
      const played = await playFromElsewhere(browser, playlist);
      expect(played).toMatchObject({ ended: true, errors: [], ...size });
      expect(played.currentTime).toBeCloseTo(video?.systemMetadata.duration ?? 0, 0);
      expect(played.currentTime).toBeGreaterThan(SECONDS - 0.5);
      expect(played.sound).toBeGreaterThan(0);
      const { pictures, storyboard } = await lookFromElsewhere(browser, {
        pictures: [video?.posterUrl ?? ''],
        storyboard: video?.storyboardUrl ?? '',
      });
      expect(pictures).toEqual([size]);
      const tile = { width: size.width / 4, height: size.height / 4 };
      expect(storyboard.box).toEqual([0, 0, tile.width, tile.height]);
      expect(storyboard.sprite).toEqual({ width: tile.width * SECONDS, height: tile.height });
      expect(storyboard.contrast).toBeGreaterThan(50);
    },
    180_000,
  );

  it('goes on playing from the URLs of a version that was replaced, and of a stream that was made anew', async () => {
    const bring = async (clip: string) => {
      const videos = [{ externalId: 'played', url: await put(clip) }];
      const { id } = await ground.canceler.start({ systemName: 'playback', videos });
      return (await ground.canceler.end(id)).tasks.nodes[0];
    };
    const streamOf = async (id: string) => {
      const task = await producer.reindex(id, { fullIngestion: false, enableVideoStream: true });
      return (await producer.end(task.id)).video?.hls?.videoUrl ?? '';
    };
    const id = (await bring('version'))?.videoId ?? '';
    const [first, second] = [await streamOf(id), await streamOf(id)];
    expect(first.split('/')[4]).not.toBe(second.split('/')[4]);
    expect(await bring('nextVersion')).toMatchObject({ status: 'READY', outcome: 'UPDATED', videoId: id });
    expect((await look(id))?.hls?.videoUrl ?? null).toBeNull();
    for (const playlist of [first, second])
      expect(await playFromElsewhere(browser, playlist)).toMatchObject({
        ended: true,
        errors: [],
        width: 640,
        height: 360,
      });
  }, 180_000);
});
