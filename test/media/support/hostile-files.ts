import { box, findBox, patchBox, replaceBox, words } from './mp4-surgery.ts';

/** A file that is broken on purpose, and what is wrong with it. */
export interface HostileFile {
  readonly name: string;
  readonly bytes: Buffer;
}

const FULL = 0xffffffff;
const HALF = 0x7fffffff;

/** An MP4 without one of its boxes: something else is in its place. */
const without = (sound: Buffer, type: string): Buffer => {
  const { at, size } = findBox(sound, type);
  return replaceBox(sound, type, box('free', Buffer.alloc(size - 8, at & 1)));
};

/** Tables that say something else than the file holds: a parser of them must not believe their numbers. */
function lyingTables(sound: Buffer): readonly HostileFile[] {
  const lie = (name: string, type: string, ...content: readonly number[]): HostileFile => ({
    name,
    bytes: replaceBox(sound, type, box(type, words(...content))),
  });
  return [
    lie('sizes without end', 'stsz', 0, 1, HALF),
    lie('sizes that are not there', 'stsz', 0, 0, 0x0fffffff),
    lie('samples of four gigabytes', 'stsz', 0, FULL, 60),
    lie('no samples', 'stsz', 0, 0, 0),
    lie('one sample', 'stsz', 0, 0, 1, 100),
    lie('times without end', 'stts', 0, 1, HALF, 1),
    lie('times that are not there', 'stts', 0, 0x0fffffff),
    lie('no times', 'stts', 0, 0),
    lie('pictures shown for no time', 'stts', 0, 1, 60, 0),
    lie('pictures shown for days', 'stts', 0, 1, 60, 0xfffffffe),
    lie('chunks without end', 'stsc', 0, 1, 1, HALF, 1),
    lie('chunks from nowhere', 'stsc', 0, 1, 0, 1, 1),
    lie('chunks back to front', 'stsc', 0, 3, 9, 1, 1, 5, 1, 1, 1, 1, 1),
    lie('chunks of no samples', 'stsc', 0, 1, 1, 0, 1),
    lie('chunks of an unknown kind', 'stsc', 0, 1, 1, 1, 99),
    lie('places beyond the end', 'stco', 0, 2, FULL, 0xfffffff0),
    lie('places that are not there', 'stco', 0, HALF),
    lie('no places', 'stco', 0, 0),
    lie('places in the header', 'stco', 0, 1, 0),
    lie('no kinds of samples', 'stsd', 0, 0),
    lie('kinds that are not there', 'stsd', 0, HALF),
    lie('edits without end', 'elst', 0, HALF),
    lie('an edit before the begin', 'elst', 0, 1, 4000, 0x80000000, 0x00010000),
    lie('an edit after the end', 'elst', 0, 1, HALF, 0x7ffffffe, 0x00010000),
  ];
}

function lyingHeaders(sound: Buffer): readonly HostileFile[] {
  const { at } = findBox(sound, 'stsd');
  const patched = (offset: number, ...values: readonly number[]): Buffer => {
    const bytes = Buffer.from(sound);
    words(...values).copy(bytes, at + offset);
    return bytes;
  };
  return [
    // The first sample entry begins 16 bytes into the box, its width 32 bytes into the entry.
    { name: 'a picture of 65535x65535', bytes: patched(48, FULL) },
    { name: 'a picture of 0x0', bytes: patched(48, 0) },
    { name: 'a codec nobody knows', bytes: patched(20, 0x7a7a7a7a) },
    { name: 'a clock that stands still', bytes: patchBox(sound, 'mdhd', { offset: 20, bytes: words(0) }) },
    { name: 'a clock that flies', bytes: patchBox(sound, 'mdhd', { offset: 20, bytes: words(FULL) }) },
    { name: 'no index', bytes: without(sound, 'moov') },
    { name: 'no tables', bytes: without(sound, 'stbl') },
    { name: 'no media', bytes: without(sound, 'mdat') },
    { name: 'no track', bytes: without(sound, 'trak') },
  ];
}

/** Media that no decoder likes, behind an index that is right. */
function spoiledMedia(sound: Buffer): readonly HostileFile[] {
  const { at, size } = findBox(sound, 'mdat');
  const zeros = Buffer.from(sound).fill(0, at + 8, at + size);
  const noise = Buffer.from(sound);
  const next = random(7);
  for (let place = at + 8; place < at + size; place++) noise[place] = next() & 0xff;
  const cut = Buffer.concat([sound.subarray(0, at + 1000), sound.subarray(at + size)]);
  return [
    { name: 'pictures of zeros', bytes: zeros },
    { name: 'pictures of noise', bytes: noise },
    { name: 'most of the media cut out', bytes: cut },
    { name: 'the last bytes missing', bytes: sound.subarray(0, sound.length - 10) },
    { name: 'half of it', bytes: sound.subarray(0, sound.length >> 1) },
  ];
}

/** Copies in which some bytes of the index, or anywhere, are others; the same ones in each run. */
function flippedBits(sound: Buffer, count: number): readonly HostileFile[] {
  const index = findBox(sound, 'moov');
  return Array.from({ length: count }, (_, seed) => {
    const next = random(seed + 1);
    const bytes = Buffer.from(sound);
    const [from, length] = seed % 3 === 0 ? [0, bytes.length] : [index.at, index.size];
    for (let change = 0; change <= seed % 5; change++) {
      bytes.writeUInt8(next() & 0xff, from + (next() % length));
    }
    return { name: `flipped bits ${seed + 1}`, bytes };
  });
}

/** Whole numbers that look random and are the same for each seed. */
function random(seed: number): () => number {
  let state = seed * 0x9e3779b1;
  return () => {
    state = Math.imul(state ^ (state >>> 15), 0x85ebca6b) + 0x6d2b79f5;
    return (state ^ (state >>> 13)) >>> 0;
  };
}

/**
 * Broken files of every kind, made of a sound one.
 * @param sound an MP4 with its index at the end, with pictures and an edit list
 * @param flips how many copies with flipped bits there are beside the others
 */
export function hostileFiles(sound: Buffer, flips: number): readonly HostileFile[] {
  return [
    ...lyingTables(sound),
    ...lyingHeaders(sound),
    ...spoiledMedia(sound),
    ...flippedBits(sound, flips),
  ];
}
