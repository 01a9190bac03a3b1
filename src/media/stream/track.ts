import { type Box, boxesIn, needBox, needBytes } from './box-reader.ts';
import { readEdit } from './edit-list.ts';
import { NotPlainError } from './not-plain.ts';
import { readSampleEntry, type SampleEntry } from './sample-entry.ts';
import { readSampleTable, type SampleTable } from './sample-table.ts';
import { placeTrack } from './timeline.ts';

/** Pictures or a sound that can be cut. */
export interface Mp4Track {
  /** As in the file, and FFmpeg's `stream.id`. */
  readonly id: number;
  readonly kind: 'video' | 'audio';
  /** Ticks a second. */
  readonly timescale: number;
  readonly samples: SampleTable;
  readonly entry: SampleEntry;
  /** Three letters of ISO 639-2; und: nobody said. */
  readonly language: string;
  /** How the picture is turned, and its width and height as shown: the last 44 bytes of tkhd. */
  readonly shape: Buffer;
  /** Seconds of the movie at which it begins to be seen or heard. Pictures before an edit's first make it negative. */
  readonly start: number;
  /** Ticks from its first sample's decoding to that begin; what is decoded before is not to be seen or heard. */
  readonly lead: number;
}

interface TrackLimits {
  readonly mostSamples: number;
  readonly movieTimescale: number;
}

const KINDS: ReadonlyMap<string, Mp4Track['kind']> = new Map([
  ['vide', 'video'],
  ['soun', 'audio'],
]);
/** Covers and the pictures of chapters. */
const STILLS = new Set(['jpeg', 'png ', 'mjpa', 'mjpb']);
const SHAPE_BYTES = 44;

/** A track by its box trak; null for one of neither pictures nor sound. @throws {NotPlainError} if it cannot be cut. */
export function readTrack(moov: Buffer, trak: Box, limits: TrackLimits): Mp4Track | null {
  const mdia = needBox(moov, trak, 'mdia');
  const hdlr = needBox(moov, mdia, 'hdlr');
  needBytes(hdlr, 12);
  const kind = KINDS.get(moov.toString('latin1', hdlr.start + 8, hdlr.start + 12));
  if (kind === undefined) return null;
  const minf = needBox(moov, mdia, 'minf');
  const stbl = needBox(moov, minf, 'stbl');
  const stsd = needBox(moov, stbl, 'stsd');
  if (kind === 'video' && isStill(moov, stsd)) return null;
  assertWithinFile(moov, needBox(moov, minf, 'dinf', 'dref'));
  const entry = readSampleEntry(moov, stsd, kind);
  const header = readHeader(moov, needBox(moov, trak, 'tkhd'));
  const media = readMediaHeader(moov, needBox(moov, mdia, 'mdhd'));
  const samples = readSampleTable(moov, stbl, limits.mostSamples);
  const place = placeTrack({ ...media, kind, samples, edit: readEdit(moov, trak), ...limits });
  return { ...header, ...media, ...place, kind, samples, entry };
}

function isStill(moov: Buffer, stsd: Box): boolean {
  needBytes(stsd, 8);
  return boxesIn(moov, stsd.start + 8, stsd.end).some(({ type }) => STILLS.has(type));
}

/** Media elsewhere is told by a data reference without the flag for "in this file" (ISO/IEC 14496-12, 8.7.2). */
function assertWithinFile(moov: Buffer, dref: Box): void {
  needBytes(dref, 8);
  const references = boxesIn(moov, dref.start + 8, dref.end);
  for (const reference of references) needBytes(reference, 4);
  if (references.length !== 1 || references.some(({ start }) => (moov.readUInt32BE(start) & 1) === 0))
    throw new NotPlainError('its media is elsewhere');
}

function readHeader(moov: Buffer, tkhd: Box): Pick<Mp4Track, 'id' | 'shape'> {
  needBytes(tkhd, 4);
  const large = moov.readUInt8(tkhd.start) === 1;
  const length = large ? 96 : 84;
  needBytes(tkhd, length);
  const end = tkhd.start + length;
  return {
    id: moov.readUInt32BE(tkhd.start + (large ? 20 : 12)),
    shape: Buffer.from(moov.subarray(end - SHAPE_BYTES, end)),
  };
}

function readMediaHeader(moov: Buffer, mdhd: Box): Pick<Mp4Track, 'timescale' | 'language'> {
  needBytes(mdhd, 4);
  const large = moov.readUInt8(mdhd.start) === 1;
  needBytes(mdhd, large ? 36 : 24);
  const timescale = moov.readUInt32BE(mdhd.start + (large ? 20 : 12));
  if (timescale === 0) throw new NotPlainError('its seconds have no ticks');
  return { timescale, language: toLanguage(moov.readUInt16BE(mdhd.start + (large ? 32 : 20))) };
}

/** Three letters in five bits each. QuickTime's own numbers are below all of those. */
function toLanguage(packed: number): string {
  const codes = [packed >> 10, packed >> 5, packed].map((value) => value & 31);
  return codes.every((code) => code >= 1 && code <= 26)
    ? String.fromCharCode(...codes.map((code) => code + 0x60))
    : 'und';
}
