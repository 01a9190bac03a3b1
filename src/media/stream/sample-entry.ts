import { type Box, boxesIn, needBytes } from './box-reader.ts';
import { box } from './box-writer.ts';
import {
  type DescribeCodec,
  describeAv1,
  describeAvc,
  describeByName,
  describeHevc,
  describeMp4a,
  describeVp9,
} from './codec-strings.ts';
import { holdsParameterSets } from './hevc-sets.ts';
import { NotPlainError } from './not-plain.ts';

/** How the samples of a track are coded. */
export interface SampleEntry {
  /** Four letters, such as avc1. */
  readonly type: string;
  /** As in RFC 6381, for instance avc1.64001f. */
  readonly codecs: string;
  /** Pixels as coded; 0 of a sound. */
  readonly width: number;
  readonly height: number;
  /** Of a sound; 0 of pictures. */
  readonly channels: number;
  /** The entry as a whole box, for the new file. */
  readonly bytes: Buffer;
}

interface Known {
  /** The box that sets a decoder up. */
  readonly configuration: string;
  readonly describe: DescribeCodec;
}

const VIDEO: ReadonlyMap<string, Known> = new Map([
  ['avc1', { configuration: 'avcC', describe: describeAvc }],
  ['hvc1', { configuration: 'hvcC', describe: describeHevc }],
  ['hev1', { configuration: 'hvcC', describe: describeHevc }],
  ['av01', { configuration: 'av1C', describe: describeAv1 }],
  ['vp09', { configuration: 'vpcC', describe: describeVp9 }],
]);

const AUDIO: ReadonlyMap<string, Known> = new Map([
  ['mp4a', { configuration: 'esds', describe: describeMp4a }],
  ['Opus', { configuration: 'dOps', describe: describeByName }],
  ['ac-3', { configuration: 'dac3', describe: describeByName }],
  ['ec-3', { configuration: 'dec3', describe: describeByName }],
  ['fLaC', { configuration: 'dfLa', describe: describeByName }],
]);

/** Bytes of a sample entry before the boxes in it (ISO/IEC 14496-12, 12.1.3 and 12.2.3), without its own header. */
const VIDEO_FIELDS = 78;
const AUDIO_FIELDS = 28;
/** QuickTime's version 1 of a sound has four numbers more. */
const QUICKTIME_FIELDS = 16;
const MOST_ENTRY_BYTES = 1024 * 1024;
/** A side of a picture that a stream may have; what its pictures hold themselves may be another size. */
const MOST_PIXELS = 16_384;

/**
 * The only sample entry of a box stsd.
 * @throws {NotPlainError} when there are several, or it is of a kind that is not copied.
 */
export function readSampleEntry(moov: Buffer, stsd: Box, kind: 'video' | 'audio'): SampleEntry {
  needBytes(stsd, 8);
  const [entry, second] = boxesIn(moov, stsd.start + 8, stsd.end);
  const oneEntry = moov.readUInt8(stsd.start) === 0 && moov.readUInt32BE(stsd.start + 4) === 1;
  if (entry === undefined || second !== undefined || !oneEntry)
    throw new NotPlainError('a track of it is coded in several ways');
  const known = (kind === 'video' ? VIDEO : AUDIO).get(entry.type);
  if (known === undefined)
    throw new NotPlainError(`its track of kind ${JSON.stringify(entry.type)} is unknown`);
  if (entry.end - entry.at > MOST_ENTRY_BYTES)
    throw new NotPlainError('the description of a track is too long');
  return kind === 'video' ? readVideo(moov, entry, known) : readAudio(moov, entry, known);
}

function readVideo(moov: Buffer, entry: Box, { configuration, describe }: Known): SampleEntry {
  needBytes(entry, VIDEO_FIELDS);
  const fields = moov.subarray(entry.start, entry.start + VIDEO_FIELDS);
  const [width, height] = [fields.readUInt16BE(24), fields.readUInt16BE(26)];
  if (![width, height].every((side) => side > 0 && side <= MOST_PIXELS))
    throw new NotPlainError(`its pictures claim to be ${width}x${height} pixels`);
  const inner = boxesIn(moov, entry.start + VIDEO_FIELDS, entry.end);
  const content = contentOf(moov, inner, configuration);
  // Safari plays HEVC by this name only; it promises that all parameter sets are here.
  const type = entry.type === 'hev1' && holdsParameterSets(content) ? 'hvc1' : entry.type;
  return {
    type,
    codecs: describe(type, content),
    width,
    height,
    channels: 0,
    bytes: box(type, fields, ...copies(moov, inner)),
  };
}

function readAudio(moov: Buffer, entry: Box, { configuration, describe }: Known): SampleEntry {
  needBytes(entry, AUDIO_FIELDS);
  const version = moov.readUInt16BE(entry.start + 8);
  if (version > 1) throw new NotPlainError('its sound is described in a way of QuickTime');
  const from = entry.start + AUDIO_FIELDS + (version === 1 ? QUICKTIME_FIELDS : 0);
  const inner = spread(moov, boxesIn(moov, from, entry.end));
  const fields = Buffer.from(moov.subarray(entry.start, entry.start + AUDIO_FIELDS));
  // QuickTime's numbers for version, vendor and compression are zeros elsewhere.
  fields.fill(0, 8, 16).fill(0, 20, 24);
  return {
    type: entry.type,
    codecs: describe(entry.type, contentOf(moov, inner, configuration)),
    width: 0,
    height: 0,
    channels: fields.readUInt16BE(16),
    bytes: box(entry.type, fields, ...copies(moov, inner)),
  };
}

/** QuickTime puts the box of the decoder into a box wave, beside what only it needs. */
function spread(moov: Buffer, boxes: readonly Box[]): readonly Box[] {
  const wave = boxes.find(({ type }) => type === 'wave');
  if (wave === undefined) return boxes;
  return boxesIn(moov, wave.start, wave.end).filter(({ type }) => type === 'esds');
}

function contentOf(moov: Buffer, boxes: readonly Box[], type: string): Buffer {
  if (boxes.some((inner) => inner.type === 'sinf')) throw new NotPlainError('it is encrypted');
  const found = boxes.find((inner) => inner.type === type);
  if (found === undefined) throw new NotPlainError(`a track of it has no box ${type}`);
  return moov.subarray(found.start, found.end);
}

const copies = (moov: Buffer, boxes: readonly Box[]): readonly Buffer[] =>
  boxes.map(({ at, end }) => moov.subarray(at, end));
