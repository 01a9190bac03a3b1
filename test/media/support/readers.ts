import { readFile } from 'node:fs/promises';
import type { RandomAccessReader } from '../../../src/media/pool.ts';

/** A reader over bytes in memory that notes what was asked of it. */
export interface CountingReader extends RandomAccessReader {
  readonly requests: { offset: number; length: number }[];
  bytes(): number;
}

/** Reads a local file as if it were elsewhere. */
export async function readerOf(path: string): Promise<CountingReader> {
  const file = await readFile(path);
  const requests: { offset: number; length: number }[] = [];
  return {
    size: file.length,
    requests,
    bytes: () => requests.reduce((sum, { length }) => sum + length, 0),
    async read(offset, length) {
      requests.push({ offset, length });
      return file.subarray(offset, offset + length);
    },
  };
}
