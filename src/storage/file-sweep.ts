import { lstat, opendir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { guarded, isMissing } from './file-errors.ts';
import { removeEmptyFolders } from './folders.ts';
import { PARTIAL_SUFFIX } from './secure-path.ts';

/**
 * Removes the `.part` files below a folder that were last changed before a time. One that cannot be removed does not
 * keep the others.
 * @returns how many there were
 * @throws {StorageError} after all were tried, what kept the first of those that are still there
 */
export async function sweepPartials(root: string, olderThan: Date): Promise<number> {
  let count = 0;
  const failures: unknown[] = [];
  for await (const path of partialsBelow(root)) {
    try {
      if (!(await isOlder(path, olderThan))) continue;
      await rm(path, { force: true });
      await removeEmptyFolders(root, dirname(path));
      count += 1;
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) await guarded(() => Promise.reject(failures[0]));
  return count;
}

/** Whether a file was last changed before a time; one that is gone was not. */
export async function isOlder(path: string, time: Date): Promise<boolean> {
  try {
    return (await lstat(path)).mtime < time;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

async function* partialsBelow(folder: string): AsyncGenerator<string> {
  const entries = await opendir(folder).catch(nullIfMissing);
  if (entries === null) return;
  for await (const entry of entries) {
    const path = join(folder, entry.name);
    // Whose name begins with a dot holds no keys.
    if (entry.name.startsWith('.')) continue;
    if (entry.isDirectory()) yield* partialsBelow(path);
    else if (entry.isFile() && entry.name.endsWith(PARTIAL_SUFFIX)) yield path;
  }
}

function nullIfMissing(error: unknown): null {
  if (isMissing(error)) return null;
  throw error;
}
