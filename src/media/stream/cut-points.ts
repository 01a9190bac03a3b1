import type { Mp4Track } from './track.ts';

/** Samples of one track that become one segment. Times in ticks of the track, from its first decoding. */
export interface Part {
  readonly first: number;
  /** The sample behind the last. */
  readonly end: number;
  readonly time: number;
  readonly duration: number;
}

/** So near to the time a picture may stand that is cut at; seconds. Frame rates such as 29.97 never meet it. */
const TOLERANCE = 0.05;
/** A shorter rest goes with the segment before. Seconds. */
const SHORTEST_REST = 0.5;

/**
 * Cuts pictures at the first sync sample after each `seconds`.
 * @returns parts without gaps, one at least
 */
export function cutVideo(track: Mp4Track, seconds: number): readonly Part[] {
  const step = Math.max(1, Math.round((seconds - TOLERANCE) * track.timescale));
  let next = step;
  return cutAt(track, (time) => {
    if (time < next) return false;
    next = time + step;
    return true;
  });
}

/**
 * Cuts a track near the given times of the movie, and each `seconds` where there are none for longer.
 * @param times seconds, in order
 * @param zero the time of the movie at which the stream begins, in seconds
 */
export function cutNear(track: Mp4Track, times: readonly number[], seconds: number): readonly Part[] {
  const { timescale, start, lead } = track;
  const step = Math.max(1, Math.round(seconds * timescale));
  const wanted = times.map((time) => Math.round((time - start) * timescale) + lead);
  let index = 0;
  let last = 0;
  return cutAt(track, (time) => {
    while ((wanted[index] ?? time + 1) <= last) index++;
    const next = wanted[index] ?? Number.POSITIVE_INFINITY;
    // Without a time for as long as two segments, the track goes its own way.
    if (time < Math.min(next, next - last > 2 * step ? last + step : next)) return false;
    last = time;
    return true;
  });
}

/** Asks at each sync sample, the first one left out, whether a part begins there. */
function cutAt({ samples, timescale }: Mp4Track, begins: (time: number) => boolean): readonly Part[] {
  const { count, durations, sync, duration } = samples;
  const rest = Math.round(SHORTEST_REST * timescale);
  const parts: Part[] = [];
  let first = 0;
  let begin = 0;
  let time = 0;
  for (let sample = 0; sample < count; time += durations[sample] ?? 0, sample++) {
    if (sample === 0 || (sync && sync[sample] !== 1) || duration - time < rest || !begins(time)) continue;
    parts.push({ first, end: sample, time: begin, duration: time - begin });
    first = sample;
    begin = time;
  }
  return [...parts, { first, end: count, time: begin, duration: duration - begin }];
}

/** The seconds of the movie at which the first samples of parts are shown, without the first part's. */
export const cutTimes = (
  { start, lead, timescale, samples }: Mp4Track,
  parts: readonly Part[],
): readonly number[] =>
  parts.slice(1).map(({ time, first }) => {
    const shown = time + (samples.compositionOffsets?.[first] ?? 0);
    return start + (shown - lead) / timescale;
  });
