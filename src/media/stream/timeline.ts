import type { Edit } from './edit-list.ts';
import { NotPlainError } from './not-plain.ts';
import type { SampleTable } from './sample-table.ts';

/** What an encoder of sound needs before the first tone, at most. More is a cut that somebody made. Seconds. */
const MOST_PRIMING = 0.25;
/** So much of the pictures may be seen although an edit leaves it out. Seconds. */
const MOST_EXTRA = 0.1;
/** So much of the end may be left out by an edit for the sake of whole ticks and frames. Seconds. */
const MOST_LEFT_OUT = 0.25;
const LONGEST = 8 * 86_400;
/** Among so many first samples is the one that is shown first. */
const REORDERED = 64;

export interface TrackTimes {
  readonly kind: 'video' | 'audio';
  readonly timescale: number;
  readonly movieTimescale: number;
  readonly samples: SampleTable;
  readonly edit: Edit;
}

export interface Place {
  readonly start: number;
  readonly lead: number;
}

/**
 * When a track begins to be seen or heard, and what is decoded before; see Mp4Track.
 * @throws {NotPlainError} when an edit cuts off what a copy would show, or the times cannot be right.
 */
export function placeTrack({ kind, timescale, movieTimescale, samples, edit }: TrackTimes): Place {
  const delay = edit.delay / movieTimescale;
  const first = firstShown(samples);
  const cut = (edit.mediaTime - first) / timescale;
  const shown = (samples.duration - edit.mediaTime) / timescale;
  if (delay + samples.duration / timescale > LONGEST || cut < -LONGEST || samples.duration === 0)
    throw new NotPlainError('its times cannot be right');
  if (edit.duration > 0 && shown - edit.duration / movieTimescale > MOST_LEFT_OUT)
    throw new NotPlainError('its end is cut off');
  if (cut > (kind === 'video' ? MOST_EXTRA : MOST_PRIMING)) throw new NotPlainError('its begin is cut off');
  // Pictures are seen however little there is of them; what primes a decoder of sound is not heard.
  return kind === 'audio' && cut > 0
    ? { start: delay, lead: edit.mediaTime }
    : { start: delay - cut, lead: first };
}

function firstShown({ count, durations, compositionOffsets }: SampleTable): number {
  if (compositionOffsets === null) return 0;
  let first = Number.POSITIVE_INFINITY;
  let decoded = 0;
  for (let sample = 0; sample < Math.min(count, REORDERED); sample++) {
    first = Math.min(first, decoded + (compositionOffsets[sample] ?? 0));
    decoded += durations[sample] ?? 0;
  }
  return first;
}
