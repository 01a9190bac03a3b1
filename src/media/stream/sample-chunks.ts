import { type Box, findBox, needBox, needBytes, readUInt64 } from './box-reader.ts';
import { NotPlainError } from './not-plain.ts';

/** Samples that lie behind one another in the file, chunk by chunk. */
export interface Chunks {
  /** Where each begins in the file. */
  readonly offsets: Float64Array;
  /** The first sample of each; one more at the end: the number of samples. */
  readonly firstSamples: Uint32Array;
  /** Where the last byte of any of them is followed by none. */
  readonly end: number;
}

/**
 * Where samples are, from the boxes stsc and stco or co64.
 * @throws {NotPlainError} when a sample is in no chunk, or one is of another sample description than the first.
 */
export function readChunks(moov: Buffer, stbl: Box, sizes: Uint32Array): Chunks {
  const offsets = readOffsets(moov, stbl);
  const firstSamples = readFirstSamples(moov, needBox(moov, stbl, 'stsc'), {
    chunks: offsets.length,
    samples: sizes.length,
  });
  const used = offsets.subarray(0, firstSamples.length - 1);
  return { offsets: used, firstSamples, end: endOf(used, firstSamples, sizes) };
}

function readOffsets(moov: Buffer, stbl: Box): Float64Array {
  const large = findBox(moov, stbl, 'co64');
  const box = large ?? needBox(moov, stbl, 'stco');
  needBytes(box, 8);
  const count = moov.readUInt32BE(box.start + 4);
  const width = large ? 8 : 4;
  needBytes(box, 8 + count * width);
  const offsets = new Float64Array(count);
  for (let chunk = 0, at = box.start + 8; chunk < count; chunk++, at += width)
    offsets[chunk] = large ? readUInt64(moov, at) : moov.readUInt32BE(at);
  return offsets;
}

interface Counts {
  readonly chunks: number;
  readonly samples: number;
}

function readFirstSamples(moov: Buffer, stsc: Box, { chunks, samples }: Counts): Uint32Array {
  needBytes(stsc, 8);
  const runs = moov.readUInt32BE(stsc.start + 4);
  needBytes(stsc, 8 + runs * 12);
  const firstSamples = new Uint32Array(chunks + 1);
  let chunk = 0;
  let sample = 0;
  for (let run = 0, at = stsc.start + 8; run < runs && sample < samples; run++, at += 12) {
    const perChunk = moov.readUInt32BE(at + 4);
    const end = run + 1 < runs ? moov.readUInt32BE(at + 12) - 1 : chunks;
    const inOrder = moov.readUInt32BE(at) === chunk + 1 && end > chunk && end <= chunks;
    if (!inOrder || perChunk === 0 || moov.readUInt32BE(at + 8) !== 1)
      throw new NotPlainError('its chunks are out of order, or of several kinds');
    for (; chunk < end && sample < samples; chunk++, sample += perChunk) firstSamples[chunk] = sample;
  }
  if (sample < samples) throw new NotPlainError('samples of it are nowhere');
  firstSamples[chunk] = samples;
  return firstSamples.subarray(0, chunk + 1);
}

function endOf(offsets: Float64Array, firstSamples: Uint32Array, sizes: Uint32Array): number {
  let end = 0;
  for (const [chunk, offset] of offsets.entries()) {
    let at = offset;
    const last = firstSamples[chunk + 1] ?? 0;
    for (let sample = firstSamples[chunk] ?? 0; sample < last; sample++) at += sizes[sample] ?? 0;
    end = Math.max(end, at);
  }
  return end;
}
