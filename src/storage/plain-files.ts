import { constants } from 'node:fs';
import { type FileHandle, open, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { StorageWriter } from './adapter.ts';
import { notFound } from './file-errors.ts';

const READ_CHUNK_BYTES = 1024 * 1024;

/** A file below a folder. */
export interface FileBelow {
  readonly path: string;
  /** Its path from the folder on, parted by slashes. */
  readonly name: string;
}

/**
 * All files below a folder.
 * @throws {StorageError} with reason NOT_FOUND for what is neither a file nor a folder
 */
export async function filesBelow(folder: string, base = ''): Promise<readonly FileBelow[]> {
  const files: FileBelow[] = [];
  for await (const entry of await opendir(folder)) {
    const file = { path: join(folder, entry.name), name: base + entry.name };
    if (entry.isDirectory()) files.push(...(await filesBelow(file.path, `${file.name}/`)));
    else if (entry.isFile()) files.push(file);
    else throw notFound();
  }
  return files;
}

/**
 * Calls `fn` with a plain file, open for reading, and its size in bytes.
 * @throws {StorageError} with reason NOT_FOUND for one that has other names as well, or is none; a link is not followed
 */
export async function withPlainFile<T>(
  path: string,
  fn: (file: { readonly handle: FileHandle; readonly size: number }) => Promise<T>,
): Promise<T> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = await handle.stat();
    // A second name may be that of a file which was never meant to be kept.
    if (!stats.isFile() || stats.nlink !== 1) throw notFound();
    return await fn({ handle, size: stats.size });
  } finally {
    await handle.close();
  }
}

/**
 * Writes all of a local file; what was written goes when that fails.
 * @throws {StorageError}
 */
export async function writeAll(
  writer: StorageWriter,
  { handle, size }: { readonly handle: FileHandle; readonly size: number },
): Promise<void> {
  try {
    await writer.expect(size);
    for await (const chunk of chunksOf(handle)) await writer.write(chunk);
    await writer.commit();
  } catch (error) {
    // What kept it from being written is of interest, not what kept the rest from being removed.
    await writer.discard().catch(() => {});
    throw error;
  }
}

const chunksOf = (handle: FileHandle): AsyncIterable<Buffer> & Readable =>
  handle.createReadStream({ start: 0, autoClose: false, highWaterMark: READ_CHUNK_BYTES });

/** How many files of a folder are on their way at once. */
const AT_ONCE = 4;

/** Calls `fn` for every item, a few at once. The first failure ends it, after those under way have ended. */
export async function eachOf<T>(items: readonly T[], fn: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  let failed = false;
  const lanes = Array.from({ length: AT_ONCE }, async () => {
    for (const item of rest) {
      if (failed) return;
      try {
        await fn(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  });
  const ended = await Promise.allSettled(lanes);
  for (const lane of ended) if (lane.status === 'rejected') throw lane.reason;
}
