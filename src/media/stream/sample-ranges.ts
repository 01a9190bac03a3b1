import type { Part } from './cut-points.ts';
import type { SampleTable } from './sample-table.ts';

export interface SampleRange {
  readonly offset: number;
  readonly length: number;
}

/** Where samples lie in the file. */
export interface RangeFinder {
  /** The ranges of a part, in the order of decoding. Parts are asked for in order. */
  next(part: Part): readonly SampleRange[];
}

/** Goes through the chunks of a track once. */
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
    next({ end }) {
      const ranges: SampleRange[] = [];
      while (sample < end) {
        const range = takeFromChunk(end);
        if (range.length > 0) ranges.push(range);
      }
      return ranges;
    },
  };
}
