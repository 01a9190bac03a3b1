import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { StorageWriter } from './adapter.ts';
import { createBatchedOutput } from './batched-output.ts';
import { guarded, isMissing } from './file-errors.ts';
import { makeFolder, removeEmptyFolders, syncFolder } from './folders.ts';
import { PARTIAL_SUFFIX } from './secure-path.ts';
import type { SpaceGuard } from './space.ts';

export interface FileWriterOptions {
  readonly root: string;
  /** Absolute path of the file once it is committed. */
  readonly path: string;
  readonly space: SpaceGuard;
}

/**
 * Opens a file for writing beside its final name.
 * @throws {StorageError}
 */
export async function openFileWriter(options: FileWriterOptions): Promise<StorageWriter> {
  return guarded(async () => {
    return createFileWriter(options, await openPartial(options));
  });
}

async function openPartial(options: FileWriterOptions, attempts = 3): Promise<OpenFile> {
  const { path } = options;
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_TRUNC;
  const newFolders = await makeFolder(dirname(path));
  try {
    return { handle: await open(path + PARTIAL_SUFFIX, flags, 0o600), newFolders };
  } catch (error) {
    // Somebody who removed a neighbour took the empty folder along.
    if (isMissing(error) && attempts > 1) return openPartial(options, attempts - 1);
    throw error;
  }
}

interface OpenFile {
  readonly handle: FileHandle;
  /** Folders whose entries have to be made durable with the file. */
  readonly newFolders: readonly string[];
}

function createFileWriter({ root, path, space }: FileWriterOptions, file: OpenFile): StorageWriter {
  const partial = path + PARTIAL_SUFFIX;
  const output = createBatchedOutput({ handle: file.handle, space });
  let expected: number | null = null;
  let isEnded = false;
  let mayRemain = true;
  const booking = { remaining: () => Math.max((expected ?? 0) - output.bytes(), 0) };

  /** Ends the writer whatever comes of it, once. */
  async function end(work: () => Promise<void>): Promise<void> {
    if (isEnded) return;
    isEnded = true;
    space.release(booking);
    try {
      await guarded(work);
    } finally {
      await file.handle.close();
    }
  }
  const assertOpen = () => {
    if (isEnded) throw new Error('This writer has ended.');
  };

  return {
    get bytes() {
      return output.bytes();
    },
    async expect(totalBytes) {
      assertOpen();
      expected = totalBytes;
      await guarded(() => space.book(booking));
    },
    async write(chunk) {
      assertOpen();
      await guarded(() => output.write(chunk));
    },
    async reset() {
      assertOpen();
      expected = null;
      space.release(booking);
      await guarded(() => output.reset());
    },
    async commit() {
      assertOpen();
      await end(async () => {
        await output.flush();
        await publish(path, file);
        mayRemain = false;
      });
    },
    close: () =>
      end(async () => {
        mayRemain = false;
        await output.keep();
      }),
    async discard() {
      if (!mayRemain) return;
      await end(() => output.settle());
      await guarded(async () => {
        await rm(partial, { force: true });
        await removeEmptyFolders(root, dirname(path));
      });
      mayRemain = false;
    },
  };
}

/** Lets a complete file appear under its name, in an order in which a power cut leaves either nothing or all of it. */
async function publish(path: string, { handle, newFolders }: OpenFile): Promise<void> {
  await handle.sync();
  await rename(path + PARTIAL_SUFFIX, path);
  for (const folder of [dirname(path), ...newFolders]) await syncFolder(folder);
}
