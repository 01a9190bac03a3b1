import { type Box, findBox, needBytes, readUInt64 } from './box-reader.ts';
import { NotPlainError } from './not-plain.ts';

/** When a track is shown. */
export interface Edit {
  /** Ticks of the movie before the track begins. */
  readonly delay: number;
  /** The tick of the track that is shown first. */
  readonly mediaTime: number;
  /** Ticks of the movie that are shown; 0: to the end. */
  readonly duration: number;
}

interface Entry {
  readonly duration: number;
  /** null: nothing is shown. */
  readonly mediaTime: number | null;
}

/**
 * The edit of a track (ISO/IEC 14496-12, 8.6.6): a wait, if there is one, and then the track from some time on.
 * @throws {NotPlainError} for any other list.
 */
export function readEdit(moov: Buffer, trak: Box): Edit {
  const edts = findBox(moov, trak, 'edts');
  const elst = edts && findBox(moov, edts, 'elst');
  const entries = elst ? readEntries(moov, elst) : [];
  const waits = entries.length > 1 && entries[0]?.mediaTime === null ? 1 : 0;
  const [shown, ...further] = entries.slice(waits);
  if (further.length > 0 || shown?.mediaTime === null || (shown?.mediaTime ?? 0) < 0)
    throw new NotPlainError('it is put together from parts');
  return {
    delay: waits > 0 ? (entries[0]?.duration ?? 0) : 0,
    mediaTime: shown?.mediaTime ?? 0,
    duration: shown?.duration ?? 0,
  };
}

function readEntries(moov: Buffer, elst: Box): readonly Entry[] {
  needBytes(elst, 8);
  const large = moov.readUInt8(elst.start) === 1;
  const count = moov.readUInt32BE(elst.start + 4);
  const width = large ? 20 : 12;
  if (count > 2) throw new NotPlainError('it is put together from parts');
  needBytes(elst, 8 + count * width);
  return Array.from({ length: count }, (_, index) => {
    const at = elst.start + 8 + index * width;
    const entry = large ? readLarge(moov, at) : readSmall(moov, at);
    if (entry.mediaTime !== null && moov.readUInt32BE(at + width - 4) !== 0x10000)
      throw new NotPlainError('it is shown faster or slower than it was taken');
    return entry;
  });
}

function readSmall(moov: Buffer, at: number): Entry {
  const mediaTime = moov.readInt32BE(at + 4);
  return { duration: moov.readUInt32BE(at), mediaTime: mediaTime === -1 ? null : mediaTime };
}

function readLarge(moov: Buffer, at: number): Entry {
  const empty = moov.readBigInt64BE(at + 8) === -1n;
  return { duration: readUInt64(moov, at), mediaTime: empty ? null : readUInt64(moov, at + 8) };
}
