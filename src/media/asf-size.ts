import { type ByteSource, readFully } from './byte-source.ts';

const DATA_OBJECT = '3626b2758e66cf11a6d900aa0062ce6c';
const MOST_OBJECTS = 64;
/** Id, size, file id, number of packets, reserved. */
const DATA_HEADER_BYTES = 50;

/**
 * How many bytes are missing at the end of an ASF or WMV file by the size of its data object (Advanced
 * Systems Format, 5.1); 0 if none, or if it was broadcast, and nobody knew the size.
 */
export async function missingAsfBytes(source: ByteSource): Promise<number> {
  let at = 0;
  for (let count = 0; count < MOST_OBJECTS; count++) {
    const header = await readFully(source, at, 24);
    if (header.length < 24) return 0;
    const size = Number(header.readBigUInt64LE(16));
    if (header.toString('hex', 0, 16) === DATA_OBJECT) {
      return size <= DATA_HEADER_BYTES ? 0 : Math.max(0, at + size - source.size);
    }
    if (size < 24) return 0;
    at += size;
  }
  return 0;
}
