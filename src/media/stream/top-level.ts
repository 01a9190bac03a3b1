import type { FileHandle } from 'node:fs/promises';
import { NotPlainError } from './not-plain.ts';
import { readExactly } from './read-exactly.ts';

const MOST_MOOV_BYTES = 64 * 1024 * 1024;
const MOST_BOXES = 1000;
const HEADER = 16;
/** What may stand before the index of an MP4 or MOV. */
const HARMLESS = new Set([
  'ftyp',
  'free',
  'skip',
  'wide',
  'mdat',
  'pnot',
  'PICT',
  'uuid',
  'meta',
  'udta',
  'pdin',
]);

/**
 * The content of the box moov.
 * @throws {NotPlainError} when there is none, it is larger than 64 MiB, or something unknown stands before it.
 */
export async function readMoov(handle: FileHandle, size: number): Promise<Buffer> {
  const header = Buffer.alloc(HEADER);
  let at = 0;
  for (let count = 0; count < MOST_BOXES && at + HEADER <= size; count++) {
    await readExactly(handle, header, at);
    const type = header.toString('latin1', 4, 8);
    const short = header.readUInt32BE(0);
    const length = short === 1 ? Number(header.readBigUInt64BE(8)) : short === 0 ? size - at : short;
    const start = at + (short === 1 ? HEADER : 8);
    if (type === 'moov') return await readContent(handle, { start, end: at + length, size });
    if (!HARMLESS.has(type) || at + length < start) break;
    at += length;
  }
  throw new NotPlainError('it has no index');
}

interface Range {
  readonly start: number;
  readonly end: number;
  readonly size: number;
}

async function readContent(handle: FileHandle, { start, end, size }: Range): Promise<Buffer> {
  if (end > size || end < start || end - start > MOST_MOOV_BYTES)
    throw new NotPlainError('its index does not fit into it');
  const content = Buffer.alloc(end - start);
  await readExactly(handle, content, start);
  return content;
}
