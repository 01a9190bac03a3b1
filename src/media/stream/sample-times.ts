import { type Box, needBytes } from './box-reader.ts';
import { NotPlainError } from './not-plain.ts';

/** The highest number that a duration or an offset may be: above, some writers mean a negative one. */
const MOST_TICKS = 2 ** 31 - 1;

/** The duration of each sample, from a box stts. @throws {NotPlainError} when it is not about `count` samples. */
export function readDurations(moov: Buffer, stts: Box, count: number): Uint32Array {
  const durations = new Uint32Array(count);
  forEachRun(moov, stts, count, (from, to, at) => {
    const duration = moov.readUInt32BE(at);
    if (duration > MOST_TICKS) throw new NotPlainError('its time goes backwards');
    durations.fill(duration, from, to);
  });
  return durations;
}

/**
 * The composition offset of each sample, from a box ctts. Version 0 knows no negative ones, but writers do.
 * @throws {NotPlainError} when it is not about `count` samples.
 */
export function readCompositionOffsets(moov: Buffer, ctts: Box, count: number): Int32Array {
  const offsets = new Int32Array(count);
  forEachRun(moov, ctts, count, (from, to, at) => offsets.fill(moov.readInt32BE(at), from, to));
  return offsets;
}

function forEachRun(
  moov: Buffer,
  box: Box,
  count: number,
  use: (from: number, to: number, at: number) => void,
): void {
  needBytes(box, 8);
  const runs = moov.readUInt32BE(box.start + 4);
  needBytes(box, 8 + runs * 8);
  let sample = 0;
  for (let run = 0, at = box.start + 8; run < runs; run++, at += 8) {
    const next = sample + moov.readUInt32BE(at);
    if (next > count) throw new NotPlainError(`its box ${box.type} is about more samples than there are`);
    use(sample, next, at + 4);
    sample = next;
  }
  if (sample < count) throw new NotPlainError(`its box ${box.type} is not about every sample`);
}

/** Which samples are sync samples, from a box stss. @throws {NotPlainError} when the first one is none. */
export function readSync(moov: Buffer, stss: Box, count: number): Uint8Array {
  needBytes(stss, 8);
  const entries = moov.readUInt32BE(stss.start + 4);
  needBytes(stss, 8 + entries * 4);
  const sync = new Uint8Array(count);
  for (let entry = 0, at = stss.start + 8; entry < entries; entry++, at += 4) {
    const sample = moov.readUInt32BE(at);
    if (sample > 0 && sample <= count) sync[sample - 1] = 1;
  }
  if (sync[0] !== 1) throw new NotPlainError('it does not begin with a picture that stands alone');
  return sync;
}
