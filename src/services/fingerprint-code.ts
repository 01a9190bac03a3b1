/** What the pictures of a video look like: a hash of 64 bits for each, as 16 hexadecimal digits, and when it is shown, in seconds. */
export interface Fingerprint {
  readonly frames: readonly { readonly at: number; readonly hash: string }[];
}

/** The same in numbers; times in milliseconds, in order. */
export interface Frames {
  readonly times: Uint32Array;
  readonly high: Uint32Array;
  readonly low: Uint32Array;
}

const FRAME_BYTES = 12;

/** Writes a fingerprint as it is stored. */
export function packFrames({ frames }: Fingerprint): Buffer {
  const packed = Buffer.alloc(frames.length * FRAME_BYTES);
  for (const [index, { at, hash }] of frames.entries()) {
    packed.writeUInt32BE(Math.round(at * 1000), index * FRAME_BYTES);
    packed.write(hash, index * FRAME_BYTES + 4, 8, 'hex');
  }
  return packed;
}

/** Reads a fingerprint as it is stored. */
export function unpackFrames(packed: Buffer): Frames {
  const count = Math.floor(packed.length / FRAME_BYTES);
  const column = (offset: number) =>
    Uint32Array.from({ length: count }, (_, index) => packed.readUInt32BE(index * FRAME_BYTES + offset));
  return { times: column(0), high: column(4), low: column(8) };
}

/** So many parts of hashes of a video can be looked up. Those of a film would be thousands. */
const MOST_BANDS = 256;

/**
 * The parts of its hashes that a video is looked up by: the quarters, each with its place. Two pictures that differ in a few bits
 * have most quarters in common. Of very many, those are taken that come first by a number made of them: which these are hangs
 * on nothing but what they are, so that of two videos that look the same, the same ones are taken.
 */
export function bandsOf({ high, low }: Frames): readonly number[] {
  const bands = new Set<number>();
  for (const [index, left] of high.entries()) {
    const right = low[index] ?? 0;
    bands.add(left >>> 16);
    bands.add(0x1_0000 | (left & 0xffff));
    bands.add(0x2_0000 | (right >>> 16));
    bands.add(0x3_0000 | (right & 0xffff));
  }
  return [...bands].sort((a, b) => rank(a) - rank(b) || a - b).slice(0, MOST_BANDS);
}

/** Strews numbers, by multiplication with a large odd one. */
const rank = (band: number) => Math.imul(band, 0x9e37_79b1) >>> 0;
