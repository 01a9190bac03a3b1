import { NotPlainError } from './not-plain.ts';

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
const decimal = (value: number): string => String(value).padStart(2, '0');

/** A codec as in RFC 6381, from the content of the box that tells how a decoder is to be set up. */
export type DescribeCodec = (type: string, configuration: Buffer) => string;

/** H.264 (ISO/IEC 14496-15, 5.3.3): profile, constraints and level. @throws {NotPlainError} without a parameter set. */
export const describeAvc: DescribeCodec = (type, avcC) => {
  needLength(avcC, 7);
  if ((avcC.readUInt8(5) & 31) === 0) throw new NotPlainError('its pictures do not say how they are coded');
  return `${type}.${avcC.toString('hex', 1, 4)}`;
};

/** HEVC (ISO/IEC 14496-15, E.3): profile, the compatible ones, tier and level, constraints without zeros at the end. */
export const describeHevc: DescribeCodec = (type, hvcC) => {
  needLength(hvcC, 23);
  const profile = hvcC.readUInt8(1);
  const space = ['', 'A', 'B', 'C'][profile >> 6];
  const tier = profile & 32 ? 'H' : 'L';
  const constraints = [...hvcC.subarray(6, 12)];
  while (constraints.at(-1) === 0) constraints.pop();
  return [
    type,
    `${space}${profile & 31}`,
    reverseBits(hvcC.readUInt32BE(2)).toString(16),
    `${tier}${hvcC.readUInt8(12)}`,
    ...constraints.map((value) => value.toString(16)),
  ].join('.');
};

function reverseBits(value: number): number {
  let reversed = 0;
  for (let bit = 0; bit < 32; bit++) reversed = reversed * 2 + ((value >>> bit) & 1);
  return reversed;
}

/** AV1 (AV1 in ISOBMFF, 5): profile, level, tier and bits. */
export const describeAv1: DescribeCodec = (type, av1C) => {
  needLength(av1C, 4);
  const [profile, depth] = [av1C.readUInt8(1), av1C.readUInt8(2)];
  const bits = depth & 64 ? (depth & 32 ? 12 : 10) : 8;
  return `${type}.${profile >> 5}.${decimal(profile & 31)}${depth & 128 ? 'H' : 'M'}.${decimal(bits)}`;
};

/** VP9 (VP Codec ISO Media File Format Binding): profile, level and bits. A level that nobody worked out counts as the lowest. */
export const describeVp9: DescribeCodec = (type, vpcC) => {
  needLength(vpcC, 12);
  const [profile, level, bits] = [vpcC.readUInt8(4), vpcC.readUInt8(5), vpcC.readUInt8(6) >> 4];
  return `${type}.${decimal(profile)}.${decimal(level || 10)}.${decimal(bits)}`;
};

const ES_DESCRIPTOR = 3;
const DECODER_CONFIG = 4;
const DECODER_SPECIFIC = 5;
const MPEG4_AUDIO = 0x40;
/** AAC of MPEG-2, and MP3, by which browsers know them. */
const OTHER_AUDIO = new Set([0x66, 0x67, 0x68, 0x69, 0x6b]);

/** AAC and MP3 (ISO/IEC 14496-1, 7.2.6): the kind of stream and, of MPEG-4, of audio object. */
export const describeMp4a: DescribeCodec = (type, esds) => {
  const stream = descriptor(esds, 4, ES_DESCRIPTOR);
  needLength(stream, 3);
  const flags = stream.readUInt8(2);
  const name = flags & 64 && stream.length > 5 ? 1 + stream.readUInt8(flags & 128 ? 5 : 3) : 0;
  const skipped = 3 + (flags & 128 ? 2 : 0) + name + (flags & 32 ? 2 : 0);
  const decoder = descriptor(stream, skipped, DECODER_CONFIG);
  needLength(decoder, 13);
  const kind = decoder.readUInt8(0);
  if (OTHER_AUDIO.has(kind)) return `${type}.${hex(kind, 2).toUpperCase()}`;
  if (kind !== MPEG4_AUDIO) throw new NotPlainError('its sound is of an unknown kind');
  const specific = descriptor(decoder, 13, DECODER_SPECIFIC);
  needLength(specific, 2);
  const object = specific.readUInt8(0) >> 3;
  return `${type}.40.${object === 31 ? 32 + ((specific.readUInt16BE(0) >> 5) & 63) : object}`;
};

/** The content of the descriptor that begins at a place; its length is written in up to four groups of seven bits. */
function descriptor(bytes: Buffer, at: number, tag: number): Buffer {
  needLength(bytes, at + 2);
  if (bytes.readUInt8(at) !== tag) throw new NotPlainError('its sound does not say how it is coded');
  let length = 0;
  for (let next = at + 1; next < Math.min(at + 5, bytes.length); next++) {
    const group = bytes.readUInt8(next);
    length = length * 128 + (group & 127);
    if (group < 128) {
      needLength(bytes, next + 1 + length);
      return bytes.subarray(next + 1, next + 1 + length);
    }
  }
  throw new NotPlainError('its sound does not say how it is coded');
}

/** Opus, AC-3, E-AC-3 and FLAC have no more to say than their names. */
export const describeByName: DescribeCodec = (type) => type;

function needLength(bytes: Buffer, length: number): void {
  if (bytes.length < length) throw new NotPlainError('it does not say how it is coded');
}
