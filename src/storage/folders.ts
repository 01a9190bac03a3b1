import { mkdir, open, rmdir } from 'node:fs/promises';
import { dirname, relative } from 'node:path';
import { codeOf } from './file-errors.ts';

/**
 * Makes a folder with all above it, for our own user only.
 * @returns the folders whose entries changed by that, in which the new ones are not durable before `syncFolder`.
 */
export async function makeFolder(path: string): Promise<string[]> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 });
  const changed: string[] = [];
  if (first === undefined) return changed;
  for (let at = path; at.length >= first.length; at = dirname(at)) changed.push(dirname(at));
  return changed;
}

/** Makes the entries of a folder durable: an fsync of a file alone says nothing of its name. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes the folder and those above it, up to `root` and without it, as far as they are empty. */
export async function removeEmptyFolders(root: string, folder: string): Promise<void> {
  for (let at = folder; isBelow(root, at); at = dirname(at)) {
    try {
      await rmdir(at);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') return;
    }
  }
}

function isBelow(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== '' && !way.startsWith('..');
}
