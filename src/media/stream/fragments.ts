import type { Part } from './cut-points.ts';
import type { SampleTable } from './sample-table.ts';

/** A part of a part that has a box moof of its own. */
export interface Fragment extends Part {
  /** Of all its samples. */
  readonly bytes: number;
}

/** Far more than six seconds hold; a segment of hours becomes several fragments, so that their heads stay small. */
const MOST_SAMPLES = 8192;

/** The fragments that a part becomes: one, but for very long ones. */
export function* splitPart({ sizes, durations }: SampleTable, part: Part): Generator<Fragment> {
  let { time } = part;
  for (let first = part.first; first < part.end; first += MOST_SAMPLES) {
    const end = Math.min(part.end, first + MOST_SAMPLES);
    let [bytes, duration] = [0, 0];
    for (let sample = first; sample < end; sample++) {
      bytes += sizes[sample] ?? 0;
      duration += durations[sample] ?? 0;
    }
    yield { first, end, time, duration, bytes };
    time += duration;
  }
}
