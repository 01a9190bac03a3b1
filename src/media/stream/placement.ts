import type { Mp4Track } from './track.ts';

/** How a track's ticks become those of the stream, which begins at 0. */
export interface Placement {
  /** Added to the time of each decoding. */
  readonly base: number;
  /** Taken from each composition offset. */
  readonly advance: number;
  /** Ticks at the begin that are decoded and not heard. */
  readonly skipped: number;
}

/**
 * Places a track on the timeline of the stream. Pictures are never decoded before 0: their composition offsets become
 * negative instead, so that players without edit lists show them in time. What primes a sound is before 0, and told
 * by an edit list; no other way would leave its samples as they are.
 * @param zero the second of the movie at which the stream begins
 */
export function place({ kind, start, lead, timescale }: Mp4Track, zero: number): Placement {
  const first = Math.max(0, Math.round((start - zero) * timescale));
  if (kind === 'video') return { base: first, advance: lead, skipped: 0 };
  const base = first - lead;
  return { base: Math.max(0, base), advance: 0, skipped: Math.max(0, -base) };
}

/** The second of the movie at which the first of its tracks begins. */
export const beginOf = (tracks: readonly Mp4Track[]): number => Math.min(...tracks.map(({ start }) => start));
