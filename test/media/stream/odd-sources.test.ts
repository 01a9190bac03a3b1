import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { ClipSpec } from '../../../src/demo/clips.ts';
import { MediaRejectedError } from '../../../src/media/errors.ts';
import { makeStream } from '../../../src/media/stream/make-stream.ts';
import { expectWhole, FRAMES, makeInto, SECONDS, useClips } from '../support/make-stream.ts';
import { writeMonoTone } from '../support/mono-tone.ts';
import { patchBox, words } from '../support/mp4-surgery.ts';
import { useFolder } from '../support/pool.ts';

const CLIPS = {
  plain: {},
  early: { container: 'ts' },
  ts: { container: 'ts', muxerOptions: { output_ts_offset: '300' } },
  avi: { container: 'avi', videoCodec: 'mpeg4', audioCodec: 'mp3' },
  mp2: { container: 'ts', audioCodec: 'mp2' },
  recording: {
    seconds: 12,
    container: 'webm',
    videoCodec: 'vp8',
    audioCodec: 'opus',
    muxerOptions: { live: '1' },
  },
} as const satisfies Record<string, ClipSpec>;

const inFolder = useFolder();
const pathOf = useClips(inFolder, CLIPS);

const make = (path: string) => makeInto(inFolder(`made-${crypto.randomUUID()}`), path);

describe('a broadcast', () => {
  it('goes on where its clock jumps', async () => {
    const path = inFolder('jump.ts');
    const part = await readFile(pathOf('ts'));
    const plain = await readFile(pathOf('early'));
    await writeFile(path, Buffer.concat([plain, part]));
    const made = await make(path);
    expect(made.result.renditions).toMatchObject([{ copied: true }]);
    expectWhole(await made.decode('video'), FRAMES * 2);
    expect((await made.decode('sound')).end).toBeCloseTo(SECONDS * 2, 0);
  });

  it('begins with its first key picture when it was cut anywhere', async () => {
    const path = inFolder('middle.ts');
    const whole = await readFile(pathOf('ts'));
    await writeFile(path, whole.subarray(188 * Math.floor(whole.length / 188 / 3)));
    const made = await make(path);
    const [video, audio] = [await made.decode('video'), await made.decode('sound')];
    // The second of two key pictures, which are two seconds apart.
    expectWhole(video, 25);
    expect(Math.abs(audio.start)).toBeLessThan(0.03);
    expect(Math.abs(audio.end - video.end)).toBeLessThan(0.1);
  });
});

it('sound that changes from two channels to one is encoded as a whole', async () => {
  const path = inFolder('channels.ts');
  const mono = inFolder('mono.ts');
  await writeMonoTone(mono);
  await writeFile(path, Buffer.concat([await readFile(pathOf('mp2')), await readFile(mono)]));
  const made = await make(path);
  const sound = await made.decode('sound');
  expect(sound).toMatchObject({ codec: 'aac', flawed: 0 });
  expect(sound.end).toBeCloseTo(SECONDS * 2, 0);
});

it('tells how far it is also of a recording that does not tell how long it is', async () => {
  const made = await make(pathOf('recording'));
  expect(made.result.renditions).toMatchObject([{ copied: false }]);
  // The last share belongs to cutting what was made.
  expect(made.progress.filter((fraction) => fraction > 0 && fraction < 0.97)).not.toEqual([]);
});

describe('what cannot be copied after all', () => {
  it('is encoded: a file that was trimmed between two key pictures', async () => {
    const path = inFolder('trimmed.mp4');
    const plain = await readFile(pathOf('plain'));
    // Two seconds from the first on, in ticks of the movie (1/48000 s) and of the track (1/12800 s).
    await writeFile(path, patchBox(plain, 'elst', { offset: 16, bytes: words(96_000, 12_800) }));
    const made = await make(path);
    expect(made.result.renditions).toMatchObject([{ copied: false }]);
    expectWhole(await made.decode('video'), 50);
  });

  it('is refused where no picture can be decoded, and leaves nothing behind', async () => {
    const path = inFolder('noise.avi');
    const noise = await readFile(pathOf('avi'));
    noise.fill(0x55, noise.indexOf('movi') + 4, noise.lastIndexOf('idx1'));
    await writeFile(path, noise);
    const folder = inFolder('refused');
    await mkdir(folder);
    const settings = { pictureFormat: 'jpeg', ladder: [] } as const;
    const failure = await makeStream({ path, folder, settings }, () => {}).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(MediaRejectedError);
    expect(failure).toMatchObject({ code: 'VIDEO_FILE_BROKEN' });
    expect(await readdir(folder)).toEqual([]);
  });
});
