import type { FileHandle } from 'node:fs/promises';
import { broken } from '../errors.ts';
import { type Box, boxesIn, findBox, needBox, needBytes } from './box-reader.ts';
import { NotPlainError } from './not-plain.ts';
import { readMoov } from './top-level.ts';
import { type Mp4Track, readTrack } from './track.ts';

/** A plain MP4 or MOV: what its index says. */
export interface Mp4 {
  /** Bytes of the file. */
  readonly size: number;
  /** Ticks of the movie a second; only delays are in them. */
  readonly timescale: number;
  /** The pictures and sounds, in the order of the file. */
  readonly tracks: readonly Mp4Track[];
}

const MOST_TRACKS = 64;
/** Of all tracks: some 13 bytes of memory each. Enough for two days of pictures and sound. */
const MOST_SAMPLES = 8_000_000;

/**
 * Reads the index of a plain MP4 (ISO/IEC 14496-12) from a handle that stays the caller's. null: it is of another
 * kind, or of a less simple one: fragmented, encrypted, with media elsewhere, put together from parts, trimmed, with
 * codecs that are not copied, or damaged. Chapter pictures and tracks of text and data are passed over.
 * @throws {MediaRejectedError} VIDEO_FILE_BROKEN when samples lie behind the end of the file.
 */
export async function readMp4(handle: FileHandle): Promise<Mp4 | null> {
  try {
    return await readPlain(handle);
  } catch (error) {
    if (error instanceof NotPlainError) return null;
    throw error;
  }
}

async function readPlain(handle: FileHandle): Promise<Mp4> {
  const { size } = await handle.stat();
  const bytes = await readMoov(handle, size);
  const moov: Box = { type: 'moov', at: 0, start: 0, end: bytes.length };
  if (findBox(bytes, moov, 'mvex')) throw new NotPlainError('it is fragmented');
  if (findBox(bytes, moov, 'cmov')) throw new NotPlainError('its index is packed');
  const timescale = readTimescale(bytes, needBox(bytes, moov, 'mvhd'));
  const traks = boxesIn(bytes, 0, bytes.length).filter(({ type }) => type === 'trak');
  if (traks.length > MOST_TRACKS) throw new NotPlainError('it holds too many tracks');
  const tracks: Mp4Track[] = [];
  for (const trak of traks) {
    const left = MOST_SAMPLES - tracks.reduce((sum, { samples }) => sum + samples.count, 0);
    const track = readTrack(bytes, trak, { mostSamples: left, movieTimescale: timescale });
    if (track) tracks.push(track);
  }
  assertWithin(tracks, size);
  return { size, timescale, tracks };
}

function readTimescale(moov: Buffer, mvhd: Box): number {
  needBytes(mvhd, 24);
  const timescale = moov.readUInt32BE(mvhd.start + (moov.readUInt8(mvhd.start) === 1 ? 20 : 12));
  if (timescale === 0) throw new NotPlainError('its seconds have no ticks');
  return timescale;
}

function assertWithin(tracks: readonly Mp4Track[], size: number): void {
  if (tracks.length === 0) throw new NotPlainError('it holds neither pictures nor sound');
  if (tracks.some(({ samples }) => samples.chunks.end > size)) throw broken('a part of its media is missing');
  // Samples that share their bytes would let a small file become any amount of output.
  if (tracks.reduce((sum, { samples }) => sum + samples.bytes, 0) > size)
    throw new NotPlainError('its samples share their bytes');
}
