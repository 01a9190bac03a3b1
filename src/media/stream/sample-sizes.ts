import { type Box, findBox, needBox, needBytes } from './box-reader.ts';
import { NotPlainError } from './not-plain.ts';

/** The bytes of each sample, from a box stsz or stz2. @throws {NotPlainError} for more than `most` samples. */
export function readSizes(moov: Buffer, stbl: Box, most: number): Uint32Array {
  const compact = findBox(moov, stbl, 'stz2');
  const box = compact ?? needBox(moov, stbl, 'stsz');
  needBytes(box, 12);
  const count = moov.readUInt32BE(box.start + 8);
  if (count > most) throw new NotPlainError('it holds too many samples');
  return compact ? readCompact(moov, compact, count) : readPlain(moov, box, count);
}

function readPlain(moov: Buffer, box: Box, count: number): Uint32Array {
  const constant = moov.readUInt32BE(box.start + 4);
  if (constant > 0) return new Uint32Array(count).fill(constant);
  needBytes(box, 12 + count * 4);
  const sizes = new Uint32Array(count);
  for (let index = 0, at = box.start + 12; index < count; index++, at += 4)
    sizes[index] = moov.readUInt32BE(at);
  return sizes;
}

function readCompact(moov: Buffer, box: Box, count: number): Uint32Array {
  const bits = moov.readUInt8(box.start + 7);
  if (bits !== 4 && bits !== 8 && bits !== 16) throw new NotPlainError('its sizes are of an unknown kind');
  needBytes(box, 12 + Math.ceil((count * bits) / 8));
  const from = box.start + 12;
  const read = {
    4: (index: number) => (moov.readUInt8(from + (index >> 1)) >> (index % 2 === 0 ? 4 : 0)) & 15,
    8: (index: number) => moov.readUInt8(from + index),
    16: (index: number) => moov.readUInt16BE(from + index * 2),
  }[bits];
  const sizes = new Uint32Array(count);
  for (let index = 0; index < count; index++) sizes[index] = read(index);
  return sizes;
}
