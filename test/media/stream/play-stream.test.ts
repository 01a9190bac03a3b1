import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AV_LOG_QUIET } from 'node-av/constants';
import { Log } from 'node-av/lib';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClipSpec, makeClip } from '../../../src/demo/clips.ts';
import { makeStream } from '../../../src/media/stream/make-stream.ts';
import { CHROMIUM, launchBrowser } from '../../support/browser.ts';
import { playStream } from '../support/play.ts';
import { useFolder } from '../support/pool.ts';

const CLIPS = {
  copied: { container: 'ts' },
  encoded: { container: 'webm', videoCodec: 'vp8', audioCodec: 'vorbis' },
  turned: { rotation: 90 },
} as const satisfies Record<string, ClipSpec>;

describe.skipIf(CHROMIUM === undefined)('a stream in Chromium', () => {
  const inFolder = useFolder();
  let browser: Browser;
  beforeAll(async () => {
    Log.setLevel(AV_LOG_QUIET);
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());

  it.each([
    ['copied', { width: 320, height: 180 }],
    ['encoded', { width: 320, height: 180 }],
    ['turned', { width: 180, height: 320 }],
  ] as const)('plays to its end with pictures and sound: %s', async (name, shown) => {
    const path = inFolder(name);
    await makeClip({ width: 320, height: 180, seconds: 8, ...CLIPS[name] }, path);
    const folder = inFolder(`${name}-stream`);
    await mkdir(folder);
    await makeStream({ path, folder, settings: { pictureFormat: 'jpeg', ladder: [] } }, () => {});
    const played = await playStream(browser, join(folder, 'stream'));
    expect(played).toMatchObject({ ended: true, errors: [], ...shown });
    expect(played.duration).toBeCloseTo(8, 0);
    expect(played.currentTime).toBeCloseTo(8, 0);
    expect(played.sound).toBeGreaterThan(0);
  });
});
