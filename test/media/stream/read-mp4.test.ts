import { readFile, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { makeClips } from '../../../src/demo/clips.ts';
import { MediaRejectedError } from '../../../src/media/errors.ts';
import { cutMp4 } from '../../../src/media/stream/cut-mp4.ts';
import { readMp4 } from '../../../src/media/stream/mp4.ts';
import { readIndex, withFile } from '../support/cut.ts';
import { appendToIndex, box, findBox, patchBox, replaceBox, words } from '../support/mp4-surgery.ts';
import { useFolder } from '../support/pool.ts';

const inFolder = useFolder();
let plain: Buffer;
beforeAll(async () => {
  const size = { width: 192, height: 108, seconds: 1.5 };
  const paths = await makeClips(
    [
      { ...size, name: 'plain', reordered: 2 },
      { ...size, name: 'front', muxerOptions: { movflags: '+faststart' } },
      { ...size, name: 'fragmented', muxerOptions: { movflags: '+frag_keyframe+empty_moov' } },
      { ...size, name: 'encrypted', muxerOptions: ENCRYPTED },
      { ...size, name: 'matroska', container: 'mkv' },
      { ...size, name: 'old', videoCodec: 'mpeg4' },
    ],
    inFolder('clips'),
  );
  plain = await readFile(paths.get('plain') ?? '');
});

const ENCRYPTED = {
  encryption_scheme: 'cenc-aes-ctr',
  encryption_key: '00112233445566778899aabbccddeeff',
  encryption_kid: '00112233445566778899aabbccddeeff',
};

let files = 0;
async function indexOf(bytes: Buffer): ReturnType<typeof readMp4> {
  files += 1;
  const path = inFolder(`file-${files}.mp4`);
  await writeFile(path, bytes);
  return await readIndex(path);
}

describe('readMp4', () => {
  test('reads the tracks that all others are made of', async () => {
    const mp4 = await indexOf(plain);
    expect(mp4?.tracks.map(({ id, kind, entry }) => [id, kind, entry.type])).toEqual([
      [1, 'video', 'avc1'],
      [2, 'audio', 'mp4a'],
    ]);
  });

  test.each(['fragmented.mp4', 'encrypted.mp4', 'matroska.mkv', 'old.mp4'])(
    '%s is not plain',
    async (name) => {
      expect(await readIndex(inFolder(`clips/${name}`))).toBeNull();
    },
  );

  test.each<[string, (file: Buffer) => Buffer]>([
    ['claims 2^28 sizes', (file) => replaceBox(file, 'stsz', box('stsz', words(0, 0, 0x0fffffff)))],
    [
      'claims 2^31 samples of one byte',
      (file) => replaceBox(file, 'stsz', box('stsz', words(0, 1, 0x7fffffff))),
    ],
    ['claims 2^31 chunks', (file) => replaceBox(file, 'stco', box('stco', words(0, 0x7fffffff, 48)))],
    ['claims 2^28 durations', (file) => replaceBox(file, 'stts', box('stts', words(0, 0x0fffffff, 1, 1)))],
    ['has times for fewer samples', (file) => replaceBox(file, 'stts', box('stts', words(0, 1, 1, 512)))],
    [
      'has a sample that lasts a month',
      (file) => replaceBox(file, 'stts', box('stts', words(0, 1, 38, 2 ** 30))),
    ],
    ['has samples in no chunk', (file) => replaceBox(file, 'stsc', box('stsc', words(0, 1, 2, 1, 1)))],
    ['has no samples', (file) => replaceBox(file, 'stsz', box('stsz', words(0, 1, 0)))],
    ['has its media elsewhere', (file) => replaceBox(file, 'dinf', ELSEWHERE)],
    ['is packed', (file) => appendToIndex(file, box('cmov', words(0)))],
    ['loses its begin', (file) => replaceBox(file, 'elst', edits([1000, 20_000]))],
    ['loses its end', (file) => replaceBox(file, 'elst', edits([300, 1024]))],
    ['is put together', (file) => replaceBox(file, 'elst', edits([500, 1024], [500, 1024]))],
    ['has an edit in 2^63 ticks', (file) => replaceBox(file, 'elst', box('elst', HUGE_EDIT))],
    ['has no ticks', (file) => patchBox(file, 'mdhd', { offset: 20, bytes: words(0) })],
    [
      'has two indexes of sizes',
      (file) => replaceBox(file, 'stsc', Buffer.concat([boxOf(file, 'stsz'), boxOf(file, 'stsc')])),
    ],
    ['has samples that share their bytes', (file) => sharedSamples(file)],
    ['ends within its index', (file) => file.subarray(0, -100)],
    ['is empty', () => Buffer.alloc(0)],
  ])('null for a file that %s', async (_, change) => {
    expect(await indexOf(change(plain))).toBeNull();
  });

  test('a file whose media is cut off is broken', async () => {
    const front = await readFile(inFolder('clips/front.mp4'));
    await expect(indexOf(front.subarray(0, -5000))).rejects.toMatchObject({ code: 'VIDEO_FILE_BROKEN' });
  });

  test('whatever is changed in an index, it is cut, refused or left to others', async () => {
    const { at, size } = findBox(plain, 'moov');
    const ends = new Set<string>();
    const change = fc.record({
      at: fc.integer({ min: at + 8, max: at + size - 4 }),
      value: fc.uint8Array({ minLength: 1, maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const file = Buffer.from(plain);
        for (const { at: place, value } of changes) file.set(value, place);
        ends.add(await endOf(file));
      }),
      { numRuns: 150 },
    );
    expect(ends).toContain('cut');
    expect(ends).toContain('null');
  });
});

/** What becomes of a file; any other error is thrown. */
async function endOf(file: Buffer): Promise<string> {
  const path = inFolder('changed.mp4');
  await writeFile(path, file);
  try {
    return await withFile(path, async (handle) => {
      const mp4 = await readMp4(handle);
      if (mp4 === null) return 'null';
      const tracks = mp4.tracks.map((track, index) => ({ track, name: `changed-${index}` }));
      const cut = await cutMp4({ mp4, handle, tracks, folder: inFolder('changed') });
      for (const { segments } of cut) expect(segments.length).toBeGreaterThan(0);
      return 'cut';
    });
  } catch (error) {
    if (error instanceof MediaRejectedError) return error.code;
    throw error;
  }
}

const ELSEWHERE = box(
  'dinf',
  box('dref', words(0, 1), box('url ', words(0), Buffer.from('file:///etc/passwd\0'))),
);
const HUGE_EDIT = words(0x01000000, 1, 0, 4000, 0x7fffffff, 0xffffffff, 0x10000);
const edits = (...entries: readonly (readonly [number, number])[]): Buffer =>
  box('elst', words(0, entries.length, ...entries.flatMap(([duration, from]) => [duration, from, 0x10000])));

const boxOf = (file: Buffer, type: string): Buffer => {
  const { at, size } = findBox(file, type);
  return file.subarray(at, at + size);
};

/** Every chunk of the pictures is where the first one is, and as large as half of the file. */
function sharedSamples(file: Buffer): Buffer {
  const { at } = findBox(file, 'stsz');
  const count = file.readUInt32BE(at + 16);
  const sized = replaceBox(file, 'stsz', box('stsz', words(0, Math.floor(file.length / 2), count)));
  const single = replaceBox(sized, 'stsc', box('stsc', words(0, 1, 1, 1, 1)));
  return replaceBox(single, 'stco', box('stco', words(0, count, ...Array<number>(count).fill(48))));
}
