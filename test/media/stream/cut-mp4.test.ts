import { readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { type ClipSpec, makeClips } from '../../../src/demo/clips.ts';
import { cutMp4 } from '../../../src/media/stream/cut-mp4.ts';
import { readMp4 } from '../../../src/media/stream/mp4.ts';
import { cutFile, withFile } from '../support/cut.ts';
import { joinClips } from '../support/join-clips.ts';
import { box, findBox, replaceBox, words } from '../support/mp4-surgery.ts';
import { useFolder } from '../support/pool.ts';
import { readPackets } from '../support/read-packets.ts';

const SIZE = { width: 320, height: 180, seconds: 6.4 };

interface Case {
  readonly spec: ClipSpec;
  /** What the tracks say of their codecs. */
  readonly codecs: readonly RegExp[];
}

const CASES: Readonly<Record<string, Case>> = {
  reordered: { spec: { reordered: 2 }, codecs: [/^avc1\.[0-9a-f]{6}$/, /^mp4a\.40\.2$/] },
  'index-first': {
    spec: { muxerOptions: { movflags: '+faststart' }, frameRate: 29.97 },
    codecs: [/^avc1/, /^mp4a/],
  },
  quicktime: { spec: { container: 'mov', rotation: 90, reordered: 1 }, codecs: [/^avc1/, /^mp4a\.40\.2$/] },
  hevc: { spec: { videoCodec: 'hevc', audioCodec: 'ac3' }, codecs: [/^hvc1\.1\.6\.L\d+\.90$/, /^ac-3$/] },
  vp9: { spec: { videoCodec: 'vp9', audioCodec: 'opus' }, codecs: [/^vp09\.00\.\d\d\.08$/, /^Opus$/] },
  av1: { spec: { videoCodec: 'av1', audioCodec: 'mp3' }, codecs: [/^av01\.0\.\d\dM\.08$/, /^mp4a\.6B$/] },
  flac: { spec: { audioCodec: 'flac' }, codecs: [/^avc1/, /^fLaC$/] },
  silent: { spec: { audioCodec: null, reordered: 2 }, codecs: [/^avc1/] },
};

const inFolder = useFolder();
const clip = (name: string): string => inFolder(`clips/${name}.${CASES[name]?.spec.container ?? 'mp4'}`);

beforeAll(async () => {
  const specs = Object.entries(CASES).map(([name, { spec }]) => ({ ...SIZE, ...spec, name }));
  await makeClips(specs, inFolder('clips'));
});

/** Checks that FFmpeg reads the same of each track as of the file it was cut from, and that the playlists hold. */
async function expectSame(path: string, folder: string): Promise<Awaited<ReturnType<typeof cutFile>>> {
  const cut = await cutFile(path, folder);
  const before = await readPackets(path);
  expect(cut.tracks).toHaveLength(before.length);
  for (const [index, { file, playlist }] of cut.tracks.entries()) {
    const [after] = await readPackets(cut.path(file));
    expect(after?.hashes).toEqual(before[index]?.hashes);
    expect(after?.hashes.length).toBeGreaterThan(60);
    expectNear(after?.shownAt ?? [], before[index]?.shownAt ?? []);
    await expectWhole(await cut.text(playlist), (await stat(cut.path(file))).size);
  }
  return cut;
}

/** Ticks of the movie are 1 ms. */
function expectNear(times: readonly number[], expected: readonly number[]): void {
  const off = times.map((time, index) => Math.abs(time - (expected[index] ?? Number.NaN)));
  expect(Math.max(...off)).toBeLessThanOrEqual(1_000);
  expect(times).toHaveLength(expected.length);
}

/** The ranges of a playlist are all of the file, one behind the other. */
async function expectWhole(text: string, size: number): Promise<void> {
  const [, init] = /#EXT-X-MAP:URI="[^"]+",BYTERANGE="(\d+)@0"/.exec(text) ?? [];
  let end = Number(init);
  for (const [, bytes, offset] of text.matchAll(/#EXT-X-BYTERANGE:(\d+)@(\d+)/g)) {
    expect(Number(offset)).toBe(end);
    end += Number(bytes);
  }
  expect(end).toBe(size);
  const target = Number(/#EXT-X-TARGETDURATION:(\d+)/.exec(text)?.[1]);
  for (const [, seconds] of text.matchAll(/#EXTINF:([\d.]+),/g))
    expect(Math.round(Number(seconds))).toBeLessThanOrEqual(target);
}

describe('cutMp4', () => {
  test.each(Object.keys(CASES))('%s: samples and times stay as they are', async (name) => {
    const { tracks } = await expectSame(clip(name), inFolder(`cut-${name}`));
    expect(tracks.map(({ kind }) => kind)).toEqual(['video', 'audio'].slice(0, tracks.length));
    for (const [index, codecs] of (CASES[name]?.codecs ?? []).entries())
      expect(tracks[index]?.codecs).toMatch(codecs);
    expect(tracks[0]).toMatchObject({ width: 320, height: 180 });
    const seconds = tracks.map(({ duration }) => duration);
    expect(Math.min(...seconds)).toBeGreaterThan(6.3);
    expect(Math.max(...seconds)).toBeLessThan(6.55);
  });

  test('pictures are cut where they stand alone, sounds near them', async () => {
    const { tracks, text } = await cutFile(clip('reordered'), inFolder('segments'));
    const lengths = tracks.map(({ segments }) => segments.map(({ duration }) => duration));
    // A picture that stands alone comes every two seconds; less than half a second is no segment of its own.
    expect(lengths[0]?.map((length) => Math.round(length * 100))).toEqual([200, 200, 240]);
    expect(lengths[1]?.map(Math.round)).toEqual([2, 2, 2]);
    expect(await text('track-0.m3u8')).toMatch(
      /^#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n.*#EXT-X-ENDLIST\n$/s,
    );
    expect(tracks[0]?.frameRate).toBeCloseTo(25, 1);
    const { size } = await stat(clip('reordered'));
    expect(tracks[0]?.averageBandwidth).toBeLessThan((size * 8) / 6);
    expect(tracks[0]?.bandwidth).toBeGreaterThanOrEqual(tracks[0]?.averageBandwidth ?? 0);
  });

  test('the way a picture is turned stays in the file', async () => {
    const { path } = await cutFile(clip('quicktime'), inFolder('turned'));
    const file = await readFile(path('track-0.mp4'));
    const { at } = findBox(file, 'tkhd');
    // The first two numbers of the matrix: the cosine and the sine of the turn.
    expect([file.readInt32BE(at + 48), file.readInt32BE(at + 52)]).toEqual([0, 0x10000]);
  });

  test('several tracks that follow each other in the file stay together in time', async () => {
    await joinClips([clip('hevc'), clip('flac'), clip('silent')], inFolder('joined.mp4'));
    const { tracks } = await expectSame(inFolder('joined.mp4'), inFolder('joined'));
    expect(tracks.map(({ kind }) => kind)).toEqual(['video', 'audio', 'video', 'audio', 'video']);
  });

  test('offsets of 64 bits', async () => {
    const file = await readFile(clip('silent'));
    const { at, size } = findBox(file, 'stco');
    const offsets = Array.from({ length: (size - 16) / 4 }, (_, n) => file.readUInt32BE(at + 16 + n * 4));
    const large = box('co64', words(0, offsets.length, ...offsets.flatMap((offset) => [0, offset])));
    await writeFile(inFolder('large.mp4'), replaceBox(file, 'stco', large));
    await expectSame(inFolder('large.mp4'), inFolder('large'));
  });

  test('a track that begins later than another does so in the stream', async () => {
    const file = await readFile(clip('reordered'));
    const { at } = findBox(file, 'elst');
    const [duration, mediaTime] = [file.readUInt32BE(at + 16), file.readInt32BE(at + 20)];
    const second = file.readUInt32BE(findBox(file, 'mvhd').at + 20);
    const late = box('elst', words(0, 2, second / 2, 0xffffffff, 0x10000, duration, mediaTime, 0x10000));
    await writeFile(inFolder('late.mp4'), replaceBox(file, 'elst', late));
    await expectSame(inFolder('late.mp4'), inFolder('late'));
    const [pictures] = await readPackets(inFolder('late/stream/track-0.mp4'));
    expect(pictures?.shownAt[0]).toBe(500_000);
  });

  test('tells how far it is, and ends with everything', async () => {
    const told: number[] = [];
    await withFile(clip('reordered'), async (handle) => {
      const mp4 = await readMp4(handle);
      const [track] = mp4?.tracks ?? [];
      if (!mp4 || !track) throw new Error('it is no plain MP4');
      const onProgress = (fraction: number) => told.push(fraction);
      await cutMp4({ mp4, handle, folder: inFolder('told'), tracks: [{ track, name: 'one' }], onProgress });
    });
    expect(told.at(-1)).toBe(1);
    expect(told).toEqual([...told].sort((one, other) => one - other));
  });

  test('a file that loses its end meanwhile is broken, not short', async () => {
    const path = inFolder('shrinking.mp4');
    await writeFile(path, await readFile(clip('index-first')));
    await withFile(path, async (handle) => {
      const mp4 = await readMp4(handle);
      const tracks = mp4?.tracks.map((track, index) => ({ track, name: `track-${index}` })) ?? [];
      if (!mp4) throw new Error('it is no plain MP4');
      await truncate(path, mp4.size - 1000);
      const cutting = cutMp4({ mp4, handle, folder: inFolder('shrinking'), tracks });
      await expect(cutting).rejects.toMatchObject({ code: 'VIDEO_FILE_BROKEN' });
    });
  });
});
