import type { Mp4Track } from './track.ts';

/** How a track's ticks become those of the stream, which begins at 0. */
export interface Placement {
  /** Added to the time of each decoding. */
  readonly base: number;
  /** Taken from each composition offset; 0 or less. */
  readonly advance: number;
  /** Ticks at the begin that are decoded and neither seen nor heard. */
  readonly skipped: number;
}

/**
 * Places a track on the timeline of the stream. Its samples stay as they are, so what has to be decoded before 0 is told
 * by an edit list: the delay of pictures that are reordered, and what primes a decoder of sound. FFmpeg shows pictures
 * late that have negative composition offsets, so those become positive.
 * @param zero the second of the movie at which the stream begins
 */
export function place({ start, lead, timescale, samples }: Mp4Track, zero: number): Placement {
  const first = Math.max(0, Math.round((start - zero) * timescale));
  const advance = Math.min(0, smallest(samples.compositionOffsets));
  const base = first - lead + advance;
  return { base: Math.max(0, base), advance, skipped: Math.max(0, -base) };
}

function smallest(values: Int32Array | null): number {
  let least = 0;
  for (const value of values ?? []) least = Math.min(least, value);
  return least;
}

/** The second of the movie at which the first of its tracks begins. */
export const beginOf = (tracks: readonly Mp4Track[]): number => Math.min(...tracks.map(({ start }) => start));
