import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClipSpec } from '../../src/demo/clips.ts';
import { ClipError, makeClip, makeClips, makeTruncatedCopy } from '../../src/demo/clips.ts';
import { readClip } from './read-clip.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-clips-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const sha256 = async (path: string) =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex');

interface Case {
  readonly spec: ClipSpec;
  readonly codecs: readonly [string | null, string | null];
}

const CASES: Readonly<Record<string, Case>> = {
  plain: { spec: {}, codecs: ['h264', 'aac'] },
  hevc: { spec: { videoCodec: 'hevc', container: 'mov' }, codecs: ['hevc', 'aac'] },
  vp9: { spec: { videoCodec: 'vp9', audioCodec: 'opus', container: 'webm' }, codecs: ['vp9', 'opus'] },
  vp8: { spec: { videoCodec: 'vp8', audioCodec: 'vorbis', container: 'webm' }, codecs: ['vp8', 'vorbis'] },
  av1: { spec: { videoCodec: 'av1', audioCodec: 'opus', container: 'mkv' }, codecs: ['av1', 'opus'] },
  mpeg4: { spec: { videoCodec: 'mpeg4', audioCodec: 'mp3', container: 'avi' }, codecs: ['mpeg4', 'mp3'] },
  mpeg2: {
    spec: { videoCodec: 'mpeg2video', audioCodec: 'mp2', container: 'ts' },
    codecs: ['mpeg2video', 'mp2'],
  },
  theora: {
    spec: { videoCodec: 'theora', audioCodec: 'vorbis', container: 'ogv' },
    codecs: ['theora', 'vorbis'],
  },
  flash: { spec: { container: 'flv' }, codecs: ['h264', 'aac'] },
  silent: { spec: { audioCodec: null }, codecs: ['h264', null] },
  sound: { spec: { videoCodec: null }, codecs: [null, 'aac'] },
};

describe('makeClips', () => {
  test('makes each clip with the codecs, the size and the length asked for', async () => {
    const made: string[] = [];
    const specs = Object.entries(CASES).map(([name, { spec }]) => ({
      ...spec,
      name,
      seconds: 1,
      width: 320,
      height: 240,
    }));
    const paths = await makeClips(specs, folder, { onMade: (name) => made.push(name) });
    expect(new Set(made)).toEqual(new Set(Object.keys(CASES)));
    for (const [name, { spec, codecs }] of Object.entries(CASES)) {
      const facts = await readClip(paths.get(name) ?? '');
      expect([facts.videoCodec, facts.audioCodec], name).toEqual(codecs);
      expect(facts.duration, name).toBeGreaterThan(0.9);
      expect(facts.duration, name).toBeLessThan(1.2);
      if (spec.videoCodec !== null) expect([facts.width, facts.height], name).toEqual([320, 240]);
      if (spec.audioCodec !== null) expect(facts.audioPackets, name).toBeGreaterThan(5);
    }
  });

  test('the same specification gives the same bytes, another seed gives others', async () => {
    const spec = { seconds: 1, width: 320, height: 180 };
    const paths = await makeClips(
      [
        { ...spec, name: 'first' },
        { ...spec, name: 'again' },
        { ...spec, name: 'other', seed: 2 },
      ],
      folder,
    );
    const hash = (name: string) => sha256(paths.get(name) ?? '');
    expect(await hash('again')).toBe(await hash('first'));
    expect(await hash('other')).not.toBe(await hash('first'));
  });

  test('leaves nothing half made, and says why, when a container does not take a codec', async () => {
    const own = join(folder, 'refused');
    const making = makeClips([{ name: 'wrong', container: 'webm', seconds: 1 }], own);
    await expect(making).rejects.toThrow(ClipError);
    await expect(making).rejects.toThrow(/webm/);
    expect(await readdir(own)).toEqual([]);
  });

  test('an abort ends the children and gives its own reason', async () => {
    const stop = new AbortController();
    const own = join(folder, 'aborted');
    const specs = ['one', 'two', 'three'].map((name) => ({ name, seconds: name === 'one' ? 0.2 : 600 }));
    const making = makeClips(specs, own, {
      signal: stop.signal,
      onMade: () => stop.abort(new Error('enough')),
    });
    await expect(making).rejects.toThrow('enough');
    expect(await readdir(own)).toEqual(['one.mp4']);
  });
});

describe('makeClip', () => {
  test('writes how the picture is to be turned, and the shape of its pixels', async () => {
    const path = join(folder, 'turned.mov');
    await makeClip({ container: 'mov', rotation: 90, pixelAspect: [4, 3], seconds: 0.4 }, path);
    const facts = await readClip(path);
    expect(facts.turn).toEqual([0, 1]);
    expect(facts.pixelAspect).toBe('4/3');
    expect([facts.width, facts.height]).toEqual([640, 360]);
  });

  test('a bit rate asked of H.264 is met, whatever the picture', async () => {
    const path = join(folder, 'large.mp4');
    await makeClip({ seconds: 2, bitrate: 8_000_000, audioCodec: null, width: 320, height: 180 }, path);
    const { size } = await stat(path);
    expect(size).toBeGreaterThan(1_800_000);
    expect(size).toBeLessThan(2_200_000);
  });

  test('a frame rate of 29.97 is 30000/1001', async () => {
    const path = join(folder, 'ntsc.mp4');
    await makeClip({ seconds: 2, frameRate: 29.97, audioCodec: null, width: 320, height: 180 }, path);
    const facts = await readClip(path);
    expect(facts.videoPackets).toBe(60);
    expect(facts.duration).toBeCloseTo(2.002, 3);
  });
});

test('a truncated copy is the first part of its original', async () => {
  const [from, to] = [join(folder, 'whole.mp4'), join(folder, 'cut.mp4')];
  await makeClip({ seconds: 0.4 }, from);
  await makeTruncatedCopy(from, to, 0.5);
  const whole = await readFile(from);
  const cut = await readFile(to);
  expect(cut.equals(whole.subarray(0, Math.floor(whole.length / 2)))).toBe(true);
});

test('the encoding child ends with the channel of its parent, in the middle of a clip', async () => {
  const path = join(folder, 'endless.mp4');
  const child = fork(fileURLToPath(new URL('../../dist/demo/encode-child.js', import.meta.url)), { env: {} });
  const exited = once(child, 'exit');
  child.send({ spec: { seconds: 3600 }, path });
  await expect
    .poll(() =>
      stat(`${path}.part`).then(
        (file) => file.size > 0,
        () => false,
      ),
    )
    .toBe(true);
  // A signal that a terminal sends to the whole group is the parent's affair.
  child.kill('SIGINT');
  child.disconnect();
  expect(await exited).toEqual([0, null]);
});
