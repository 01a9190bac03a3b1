import type { Frames } from './fingerprint-code.ts';

/** Pictures that differ in more of their 64 bits are others. */
const MOST_BITS = 20;
/** So many bits of unrelated ones differ on average. A few bits are within what compression does, and count little. */
const RANDOM_BITS = 32;
/** Beginnings are looked for up to this part of the longer one away from each other. */
const FARTHEST_SHIFT = 0.35;
/** So many pictures tell which shift is best; then all are compared. */
const PROBES = 64;

/** A fingerprint with its pictures in even steps of time. */
interface Track {
  readonly frames: Frames;
  /** Milliseconds. */
  readonly step: number;
  /** The picture at each step, by its place; -1 for none. */
  readonly slots: Int32Array;
}

/**
 * How much alike two videos look, 0 to 1: the part of both that shows the same pictures, each as alike as its bits, where they
 * lie best upon one another. What one has at its ends beyond the other counts as different.
 * @param atLeast of less than this no more is told than that: 0 where their lengths do not let it be as much
 */
export function similarityOf(one: Frames, other: Frames, atLeast = 0): number {
  const [short, long] = [toTrack(one), toTrack(other)].sort(byLength);
  if (!short || !long || short.frames.times.length === 0) return 0;
  const total = lengthOf(short) + lengthOf(long);
  if ((2 * lengthOf(short)) / total < atLeast) return 0;
  // Where even the whole of the shorter one would be little of the longer one, there is no place to look for.
  const shifts = shiftsOf(short, long);
  const stride = Math.max(1, Math.floor(short.frames.times.length / PROBES));
  let best = { shift: 0, sum: -1 };
  for (const shift of shifts) {
    const sum = sumOf(short, long, { shift, stride });
    if (sum > best.sum) best = { shift, sum };
  }
  const matched = sumOf(short, long, { shift: best.shift, stride: 1 }) * short.step;
  return Math.min(1, (2 * matched) / total);
}

const lengthOf = ({ frames, step }: Track) => frames.times.length * step;

/** In the same order whichever is named first: what is like another is as much like it as the other way round. */
const byLength = (a: Track, b: Track) =>
  a.frames.times.length - b.frames.times.length || lengthOf(a) - lengthOf(b) || firstOf(a) - firstOf(b);
const firstOf = ({ frames }: Track) => frames.high[0] ?? 0;

function toTrack(frames: Frames): Track {
  const { times } = frames;
  let step = Number.POSITIVE_INFINITY;
  for (let index = 1; index < times.length; index++)
    step = Math.min(step, (times[index] ?? 0) - (times[index - 1] ?? 0));
  // Steps are powers of two of 250 ms, and pictures come a little later than they are due.
  const rounded = Number.isFinite(step) ? 250 * 2 ** Math.max(0, Math.round(Math.log2(step / 250))) : 250;
  const last = times.at(-1) ?? 0;
  const slots = new Int32Array(Math.floor(last / rounded) + 2).fill(-1);
  for (const [index, time] of times.entries()) slots[Math.floor(time / rounded)] = index;
  return { frames, step: rounded, slots };
}

/** Milliseconds from a time of the shorter one to the same picture of the longer one. */
function shiftsOf(short: Track, long: Track): readonly number[] {
  const step = Math.max(short.step, long.step);
  const ends = [short, long].map(({ frames }) => frames.times.at(-1) ?? 0);
  const count = Math.ceil((Math.max(...ends) * FARTHEST_SHIFT) / step);
  // From the middle outwards: of two that are as good, the smaller one.
  return [0, ...Array.from({ length: count }, (_, n) => [(n + 1) * step, -(n + 1) * step]).flat()];
}

/** How alike the pictures of the shorter one are to those of the longer one at a shift, in all. */
function sumOf(
  { frames, step }: Track,
  long: Track,
  { shift, stride }: { readonly shift: number; readonly stride: number },
): number {
  let sum = 0;
  for (let index = 0; index < frames.times.length; index += stride) {
    const middle = Math.floor(((frames.times[index] ?? 0) + shift) / long.step);
    let fewest = 64;
    // Their steps need not begin at the same picture.
    for (let slot = middle - 1; slot <= middle + 1; slot++)
      fewest = Math.min(fewest, distance(frames, index, long, slot));
    if (fewest <= MOST_BITS) sum += 1 - (fewest / RANDOM_BITS) ** 2;
  }
  return step > 0 ? sum : 0;
}

function distance(frames: Frames, index: number, { frames: others, slots }: Track, slot: number): number {
  const other = slots[slot] ?? -1;
  if (other < 0) return 64;
  const high = (frames.high[index] ?? 0) ^ (others.high[other] ?? 0);
  return countBits(high) + countBits((frames.low[index] ?? 0) ^ (others.low[other] ?? 0));
}

/** The ones among 32 bits, added up in pairs, fours and bytes. */
function countBits(word: number): number {
  const pairs = word - ((word >>> 1) & 0x5555_5555);
  const fours = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
