import type { FileHandle } from 'node:fs/promises';
import { readExactly } from './read-exactly.ts';

/** So many bytes of samples are read before any of them is written. */
export const BATCH_BYTES = 4 * 1024 * 1024;
/** Bytes between two ranges that are read along, for that costs less than another call; and all of them in a batch. */
const MOST_GAP = 128 * 1024;
const MOST_GAPS = 2 * 1024 * 1024;
const MOST_RANGES = 16_384;

/** Memory that a batch is read into. */
export const allocateBatchMemory = (): Buffer => Buffer.allocUnsafeSlow(BATCH_BYTES + MOST_GAPS);

interface Range {
  readonly offset: number;
  readonly length: number;
  /** Where its bytes go: an output, and the place among what is written there. */
  readonly output: number;
  readonly index: number;
}

/** Some megabytes on their way from one file to several ones: what is read in the order of the input. */
export interface Batch {
  /** Bytes of samples in it. */
  bytes(): number;
  isFull(): boolean;
  /** Bytes of our own that come next in an output. */
  addOwn(output: number, bytes: Buffer): void;
  /** A range of the input that comes next in an output, as much of it as there is room for. @returns how much that is */
  addRange(output: number, range: { readonly offset: number; readonly length: number }): number;
  /** Reads all ranges. @returns what is to be written to each output, one behind the other */
  read(input: FileHandle, memory: Buffer): Promise<readonly (readonly Buffer[])[]>;
}

export function createBatch(outputs: number): Batch {
  const writes: Buffer[][] = Array.from({ length: outputs }, () => []);
  const ranges: Range[] = [];
  let bytes = 0;

  return {
    bytes: () => bytes,
    isFull: () => bytes >= BATCH_BYTES || ranges.length >= MOST_RANGES,
    addOwn: (output, own) => void writes[output]?.push(own),
    addRange(output, { offset, length }) {
      const taken = Math.min(length, BATCH_BYTES - bytes);
      const index = writes[output]?.push(EMPTY) ?? 0;
      ranges.push({ offset, length: taken, output, index: index - 1 });
      bytes += taken;
      return taken;
    },
    async read(input, memory) {
      let used = 0;
      for (const { offset, length, ranges: inside } of joinRanges(ranges)) {
        const part = memory.subarray(used, used + length);
        await readExactly(input, part, offset);
        for (const range of inside) {
          const from = range.offset - offset;
          writes[range.output]?.splice(range.index, 1, part.subarray(from, from + range.length));
        }
        used += length;
      }
      return writes;
    },
  };
}

const EMPTY = Buffer.alloc(0);

interface Joined {
  readonly offset: number;
  length: number;
  readonly ranges: Range[];
}

/** What is read at once: ranges that lie close to each other. */
function joinRanges(ranges: readonly Range[]): readonly Joined[] {
  const joined: Joined[] = [];
  let gaps = 0;
  for (const range of [...ranges].sort((one, other) => one.offset - other.offset)) {
    const last = joined.at(-1);
    const gap = last ? range.offset - last.offset - last.length : -1;
    if (last && gap >= 0 && gap <= MOST_GAP && gaps + gap <= MOST_GAPS) {
      gaps += gap;
      last.length += gap + range.length;
      last.ranges.push(range);
    } else joined.push({ offset: range.offset, length: range.length, ranges: [range] });
  }
  return joined;
}
