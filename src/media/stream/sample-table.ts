import { type Box, findBox, needBox } from './box-reader.ts';
import { NotPlainError } from './not-plain.ts';
import { type Chunks, readChunks } from './sample-chunks.ts';
import { readSizes } from './sample-sizes.ts';
import { readCompositionOffsets, readDurations, readSync } from './sample-times.ts';

/** A track's samples in the order in which they are decoded. Times in ticks of the track. */
export interface SampleTable {
  readonly count: number;
  /** Bytes. */
  readonly sizes: Uint32Array;
  /** From one sample's decoding to the next one's. */
  readonly durations: Uint32Array;
  /** From a sample's decoding to its being shown; null: 0 for all. */
  readonly compositionOffsets: Int32Array | null;
  /** 1 for each sample that can be decoded without those before it; null: all of them. */
  readonly sync: Uint8Array | null;
  readonly chunks: Chunks;
  /** The sum of all durations. */
  readonly duration: number;
  /** The sum of all sizes. */
  readonly bytes: number;
}

/**
 * Reads the tables of a box stbl (ISO/IEC 14496-12, 8.6 and 8.7). Nothing is allocated for a count before it is held
 * against `mostSamples` or against the size of the box that is to hold so many entries.
 * @throws {NotPlainError} when there are more samples, or the tables do not fit each other.
 */
export function readSampleTable(moov: Buffer, stbl: Box, mostSamples: number): SampleTable {
  const sizes = readSizes(moov, stbl, mostSamples);
  const count = sizes.length;
  if (count === 0) throw new NotPlainError('a track of it holds nothing');
  const durations = readDurations(moov, needBox(moov, stbl, 'stts'), count);
  const composition = findBox(moov, stbl, 'ctts');
  const sync = findBox(moov, stbl, 'stss');
  const chunks = readChunks(moov, stbl, sizes);
  return {
    count,
    sizes,
    durations,
    compositionOffsets: composition ? readCompositionOffsets(moov, composition, count) : null,
    sync: sync ? readSync(moov, sync, count) : null,
    chunks,
    duration: sum(durations),
    bytes: sum(sizes),
  };
}

function sum(values: Uint32Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
