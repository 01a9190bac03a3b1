import { randomUUID } from 'node:crypto';
import { open, opendir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { guarded } from './file-errors.ts';
import { isOlder } from './file-sweep.ts';
import { makeFolder } from './folders.ts';
import { createSpaceGuard } from './space.ts';

const NAME_PREFIX = 'copy-';

/** Files of this machine that hold the bytes of objects for a while. */
export interface LocalCopies {
  /**
   * Copies bytes into a file of its own, for our own user only, and calls `fn` with its path. The file is removed
   * whatever happens.
   * @throws {StorageError} StorageFullError when the volume is full
   * @throws the reason of the signal, when it aborts while bytes are copied
   */
  lend<T>(source: CopySource, fn: (path: string) => Promise<T>): Promise<T>;
  /** Removes the files of processes that ended without doing so, last changed before a time. @returns how many */
  sweep(olderThan: Date): Promise<number>;
}

export interface CopySource {
  readonly bytes: Readable;
  /** How many there are. */
  readonly length: number;
  readonly signal: AbortSignal;
}

/** Makes the copies below a folder, which is made when it is first needed. */
export function createLocalCopies(folder: string): LocalCopies {
  const space = createSpaceGuard({ root: folder });

  async function copy({ bytes, length, signal }: CopySource, path: string): Promise<void> {
    await makeFolder(folder);
    const handle = await open(path, 'wx', 0o600);
    let file: { readonly bytesWritten: number } | null = null;
    const booking = { remaining: () => length - (file?.bytesWritten ?? 0) };
    try {
      await space.book(booking);
      const output = handle.createWriteStream();
      file = output;
      await pipeline(bytes, output, { signal });
    } finally {
      space.release(booking);
      // Waits for the stream, which closes it too: a file that is still being written to would come back.
      await handle.close();
    }
  }

  return {
    async lend(source, fn) {
      const path = join(folder, `${NAME_PREFIX}${randomUUID()}`);
      try {
        await guarded(() => copy(source, path)).catch((error: unknown) => {
          // Otherwise it would be an AbortError of the stream's own.
          source.signal.throwIfAborted();
          throw error;
        });
        return await fn(path);
      } finally {
        source.bytes.destroy();
        await rm(path, { force: true });
      }
    },
    async sweep(olderThan) {
      let count = 0;
      await guarded(async () => {
        await makeFolder(folder);
        for await (const entry of await opendir(folder)) {
          const path = join(folder, entry.name);
          if (!entry.name.startsWith(NAME_PREFIX) || !(await isOlder(path, olderThan))) continue;
          await rm(path, { force: true });
          count += 1;
        }
      });
      return count;
    },
  };
}
