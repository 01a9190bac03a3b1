import type { SampleTable } from './sample-table.ts';

/** Where samples lie in the file. */
export interface SampleRange {
  readonly offset: number;
  readonly length: number;
}

/** Goes through the samples of a track once, in the order of decoding. */
export interface RangeFinder {
  /** The samples before `end` that were not asked for yet, range by range. To be read to its end. */
  rangesUntil(end: number): Generator<SampleRange>;
}

export function createRangeFinder({ chunks, sizes }: SampleTable): RangeFinder {
  const { offsets, firstSamples } = chunks;
  let chunk = 0;
  let sample = 0;
  let offset = offsets[0] ?? 0;

  const takeFromChunk = (end: number): SampleRange => {
    const from = offset;
    const last = Math.min(end, firstSamples[chunk + 1] ?? end);
    for (; sample < last; sample++) offset += sizes[sample] ?? 0;
    const range = { offset: from, length: offset - from };
    if (sample === firstSamples[chunk + 1]) {
      chunk += 1;
      offset = offsets[chunk] ?? 0;
    }
    return range;
  };

  return {
    *rangesUntil(end) {
      while (sample < end) {
        const range = takeFromChunk(end);
        if (range.length > 0) yield range;
      }
    },
  };
}
