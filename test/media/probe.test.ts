import { appendFile, readFile, truncate, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ClipSpec } from '../../src/demo/clips.ts';
import { makeClips } from '../../src/demo/clips.ts';
import { findBox, words } from './support/mp4-surgery.ts';
import { outcomeOf, unaborted, useFolder, usePool } from './support/pool.ts';
import { readerOf } from './support/readers.ts';

const FAST_START = { movflags: '+faststart' };
const CLIPS = {
  mp4: {},
  faststart: { muxerOptions: FAST_START },
  fragmented: { muxerOptions: { movflags: '+frag_keyframe+empty_moov' } },
  mov: { container: 'mov', videoCodec: 'hevc' },
  '3gp': { container: '3gp' },
  mkv: { container: 'mkv', audioCodec: 'flac' },
  webm: { container: 'webm', videoCodec: 'vp9', audioCodec: 'opus' },
  live: { container: 'webm', videoCodec: 'vp8', audioCodec: 'vorbis', muxerOptions: { live: '1' } },
  avi: { container: 'avi', videoCodec: 'mpeg4', audioCodec: 'mp3' },
  flv: { container: 'flv' },
  ts: { container: 'ts' },
  mpg: { container: 'mpg', videoCodec: 'mpeg2video', audioCodec: 'mp2' },
  ogv: { container: 'ogv', videoCodec: 'theora', audioCodec: 'vorbis' },
  wmv: { container: 'wmv', videoCodec: 'wmv2', audioCodec: 'mp3' },
  mxf: { container: 'mxf', videoCodec: 'mpeg2video', audioCodec: 'pcm' },
  right: { rotation: 90 },
  left: { rotation: 270, container: 'mov' },
  wide: { width: 540, height: 480, pixelAspect: [4, 3] },
  hdr: { videoCodec: 'hevc', pixelFormat: 'yuv420p10le', hdr: true },
  silent: { audioCodec: null, frameRate: 29.97 },
  sound: { videoCodec: null },
  broadcast: { container: 'ts', seconds: 12, width: 320, height: 240 },
} as const satisfies Record<string, ClipSpec>;

const pool = usePool();
const inFolder = useFolder();
let paths: ReadonlyMap<string, string>;
beforeAll(async () => {
  const specs = Object.entries(CLIPS).map(([name, spec]) => ({ seconds: 2, ...spec, name }));
  paths = await makeClips(specs, inFolder('clips'));
});
const pathOf = (name: keyof typeof CLIPS): string => paths.get(name) ?? '';
const probeFile = (path: string) => pool.probeFile(path, { signal: unaborted() });
const probeRemote = async (path: string) => pool.probeRemote(await readerOf(path), { signal: unaborted() });

describe.each([
  ['on disk', probeFile],
  ['elsewhere', probeRemote],
])('a file %s', (_where, probe) => {
  it.each([
    ['mp4', 'mp4', 'video/mp4', 'h264', 'aac'],
    ['faststart', 'mp4', 'video/mp4', 'h264', 'aac'],
    ['fragmented', 'mp4', 'video/mp4', 'h264', 'aac'],
    ['mov', 'mov', 'video/quicktime', 'hevc', 'aac'],
    ['3gp', 'mp4', 'video/mp4', 'h264', 'aac'],
    ['mkv', 'mkv', 'video/x-matroska', 'h264', 'flac'],
    ['webm', 'webm', 'video/webm', 'vp9', 'opus'],
    ['live', 'webm', 'video/webm', 'vp8', 'vorbis'],
    ['avi', 'avi', 'video/x-msvideo', 'mpeg4', 'mp3'],
    ['flv', 'flv', 'video/x-flv', 'h264', 'aac'],
    ['ts', 'ts', 'video/mp2t', 'h264', 'aac'],
    ['mpg', 'mpeg', 'video/mpeg', 'mpeg2video', 'mp2'],
    ['ogv', 'ogv', 'video/ogg', 'theora', 'vorbis'],
    ['wmv', 'wmv', 'video/x-ms-wmv', 'wmv2', 'mp3'],
    ['mxf', 'mxf', 'application/mxf', 'mpeg2video', 'pcm_s16le'],
  ] as const)('is recognised: %s', async (name, container, mimeType, videoCodec, audioCodec) => {
    const facts = await probe(pathOf(name));
    expect(facts).toMatchObject({ container, mimeType, videoCodec, audioCodec, width: 640, height: 360 });
    expect(facts.duration).toBeGreaterThan(1.95);
    expect(facts.duration).toBeLessThan(2.1);
    expect(facts.size).toBe((await readFile(pathOf(name))).length);
  });

  it.each([
    ['right', { width: 360, height: 640, rotation: 90 }],
    ['left', { width: 360, height: 640, rotation: 270 }],
    ['wide', { width: 720, height: 480, rotation: 0 }],
  ] as const)('has the size that it is shown with: %s', async (name, shown) => {
    expect(await probe(pathOf(name))).toMatchObject(shown);
  });

  it('is HDR by its transfer function', async () => {
    expect(await probe(pathOf('hdr'))).toMatchObject({ hdr: true });
    expect(await probe(pathOf('mp4'))).toMatchObject({ hdr: false });
  });

  it('may be without sound', async () => {
    const facts = await probe(pathOf('silent'));
    expect(facts).toMatchObject({ audioCodec: null });
    expect(facts.frameRate).toBeCloseTo(29.97, 1);
    expect(facts.bitrate).toBe(Math.round((facts.size * 8) / facts.duration));
  });

  it('is no video if it holds sound alone', async () => {
    expect(await outcomeOf(probe(pathOf('sound')))).toBe('UNSUPPORTED_MEDIA_TYPE');
  });

  it.each(['mp4', 'faststart', 'mkv', 'webm', 'avi', 'wmv'] as const)(
    'is broken if its end is missing: %s',
    async (name) => {
      const cut = inFolder(`cut-${name}`);
      const whole = await readFile(pathOf(name));
      await writeFile(cut, whole.subarray(0, Math.floor(whole.length * 0.85)));
      expect(await outcomeOf(probe(cut))).toBe('VIDEO_FILE_BROKEN');
    },
  );

  it('may be a broadcast cut anywhere', async () => {
    const whole = await readFile(pathOf('broadcast'));
    const cut = inFolder('cut.ts');
    await writeFile(cut, whole.subarray(188 * Math.floor(whole.length / 188 / 3)));
    expect(await outcomeOf(probe(cut))).toMatchObject({ container: 'ts', width: 320, height: 240 });
  });
});

describe('a file on disk', () => {
  it('is broken if one of its fragments is cut', async () => {
    const cut = inFolder('cut-fragmented');
    const whole = await readFile(pathOf('fragmented'));
    await writeFile(cut, whole.subarray(0, Math.floor(whole.length * 0.85)));
    expect(await outcomeOf(probeFile(cut))).toBe('VIDEO_FILE_BROKEN');
  });

  it('is measured where its header tells nothing, and broken where it ends before the time it tells', async () => {
    const cut = inFolder('cut.flv');
    const whole = await readFile(pathOf('flv'));
    await writeFile(cut, whole);
    await truncate(cut, Math.floor(whole.length / 2));
    expect(await outcomeOf(probeFile(cut))).toBe('VIDEO_FILE_BROKEN');
  });

  it('may have its index behind two gigabytes of nothing', async () => {
    const whole = await readFile(pathOf('mp4'));
    const { at } = findBox(whole, 'moov');
    const path = inFolder('sparse.mp4');
    await writeFile(path, Buffer.concat([whole.subarray(0, at), words(2 ** 31), Buffer.from('free')]));
    await truncate(path, at + 2 ** 31);
    await appendFile(path, whole.subarray(at));
    expect(await probeFile(path)).toMatchObject({ size: whole.length + 2 ** 31, duration: 2, width: 640 });
  });

  it('that is not there is no verdict', async () => {
    await expect(probeFile(inFolder('nothing'))).rejects.toMatchObject({ code: 'ENOENT', name: 'Error' });
  });
});

describe('a file elsewhere', () => {
  it.each(['mp4', 'faststart', 'mov', 'webm'] as const)(
    'takes few requests and few bytes: %s',
    async (name) => {
      const reader = await readerOf(pathOf(name));
      await pool.probeRemote(reader, { signal: unaborted() });
      expect(reader.requests.length).toBeLessThanOrEqual(3);
      expect(reader.bytes()).toBeLessThanOrEqual(450 * 1024);
    },
  );

  it('is never read twice at the same place, nor past its end', async () => {
    const reader = await readerOf(pathOf('flv'));
    await pool.probeRemote(reader, { signal: unaborted() });
    const sorted = [...reader.requests].sort((a, b) => a.offset - b.offset);
    for (const [index, { offset, length }] of sorted.entries()) {
      expect(offset + length).toBeLessThanOrEqual(sorted[index + 1]?.offset ?? reader.size);
    }
  });
});
