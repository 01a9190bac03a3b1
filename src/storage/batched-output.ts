import type { FileHandle } from 'node:fs/promises';
import type { SpaceGuard } from './space.ts';

/** Chunks are gathered up to this before the disk is asked, in bytes and in number. */
const BATCH_BYTES = 1024 * 1024;
const BATCH_CHUNKS = 512;
/** How often the free space is looked at, in bytes written. */
const SPACE_CHECK_BYTES = 16 * 1024 * 1024;

/** The growing end of a file. Its calls are made one after the other. */
export interface BatchedOutput {
  /** How many bytes the file has, those on their way included. */
  bytes(): number;
  /** Takes a chunk; waits only while the batch before it is still being written. */
  write(chunk: Uint8Array): Promise<void>;
  /** Waits until everything taken is in the file, or throws why it is not. */
  flush(): Promise<void>;
  /** Waits until nothing is being written any more, however that ended. */
  settle(): Promise<void>;
  /** Empties the file. */
  reset(): Promise<void>;
  /** Makes durable what could be written, leaving out what could not. */
  keep(): Promise<void>;
}

export interface BatchedOutputOptions {
  /** Of an empty file. */
  readonly handle: FileHandle;
  readonly space: SpaceGuard;
}

/**
 * Gathers chunks and writes them in order, one batch of about 1 MiB while the next is gathered: memory stays below
 * 2 MiB and a chunk. A failure meets the next call, and all after it until a reset.
 */
export function createBatchedOutput({ handle, space }: BatchedOutputOptions): BatchedOutput {
  let taken = 0;
  let written = 0;
  let batch: Uint8Array[] = [];
  let batchBytes = 0;
  let unchecked = SPACE_CHECK_BYTES;
  let writing: Promise<void> = Promise.resolve();

  async function writeBatch(chunks: readonly Uint8Array[], bytes: number): Promise<void> {
    unchecked += bytes;
    if (unchecked >= SPACE_CHECK_BYTES) {
      await space.assertRoom(bytes);
      unchecked = 0;
    }
    await writeAll(handle, chunks, written);
    written += bytes;
  }

  function start(): void {
    const [chunks, bytes] = [batch, batchBytes];
    [batch, batchBytes] = [[], 0];
    writing = writing.then(() => writeBatch(chunks, bytes));
    // It is looked at when the next call waits for it; until then it must not count as unhandled.
    writing.catch(() => {});
  }

  async function flush(): Promise<void> {
    if (batch.length > 0) start();
    await writing;
  }

  return {
    bytes: () => taken,
    async write(chunk) {
      taken += chunk.length;
      batch.push(chunk);
      batchBytes += chunk.length;
      if (batchBytes < BATCH_BYTES && batch.length < BATCH_CHUNKS) return;
      await writing;
      start();
    },
    flush,
    settle: () => writing.catch(() => {}),
    async reset() {
      await writing.catch(() => {});
      [taken, written, batch, batchBytes] = [0, 0, [], 0];
      writing = handle.truncate(0);
      await writing;
    },
    async keep() {
      await flush().catch(() => {});
      await handle.datasync();
    },
  };
}

async function writeAll(handle: FileHandle, chunks: readonly Uint8Array[], position: number): Promise<void> {
  let rest = chunks;
  let at = position;
  while (rest.length > 0) {
    const { bytesWritten } = await handle.writev(rest, at);
    at += bytesWritten;
    rest = dropBytes(rest, bytesWritten);
  }
}

/** What a write that came back early left over. */
function dropBytes(chunks: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let left = count;
  const index = chunks.findIndex((chunk) => {
    if (chunk.length > left) return true;
    left -= chunk.length;
    return false;
  });
  const [first, ...others] = index === -1 ? [] : chunks.slice(index);
  return first === undefined ? [] : [first.subarray(left), ...others];
}
