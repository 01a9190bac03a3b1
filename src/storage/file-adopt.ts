import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, guarded } from './file-errors.ts';
import { publishFile } from './file-move.ts';
import { openFileWriter } from './file-writer.ts';
import { syncFolder } from './folders.ts';
import { eachOf, filesBelow, withPlainFile, writeAll } from './plain-files.ts';
import { assertKey, pathOfKey } from './secure-path.ts';
import type { SpaceGuard } from './space.ts';

interface Place {
  readonly root: string;
  readonly space: SpaceGuard;
}

/**
 * Makes a local file the object at a key, by a rename where it is on the same volume, else by a copy.
 * @throws {StorageError}
 */
export async function adoptFile(place: Place, file: string, key: string): Promise<void> {
  assertKey(key);
  await guarded(async () => {
    for (const folder of await adopt(place, file, key)) await syncFolder(folder);
  });
}

/**
 * As `adoptFile`, for all files below a folder. Folders are made durable once, when all files are in.
 * @throws {StorageError}
 */
export async function adoptFiles(place: Place, folder: string, prefix: string): Promise<void> {
  await guarded(async () => {
    const files = (await filesBelow(folder)).map(({ path, name }) => ({ path, key: join(prefix, name) }));
    for (const { key } of files) assertKey(key);
    const changed = new Set<string>();
    await eachOf(files, async ({ path, key }) => {
      for (const each of await adopt(place, path, key)) changed.add(each);
    });
    for (const each of changed) await syncFolder(each);
  });
}

/** @returns the folders that have to be made durable. */
async function adopt({ root, space }: Place, file: string, key: string): Promise<readonly string[]> {
  const path = pathOfKey(root, key);
  return await withPlainFile(file, async (opened) => {
    try {
      return await publishFile({ from: file, to: path });
    } catch (error) {
      if (codeOf(error) !== 'EXDEV') throw error;
    }
    await writeAll(await openFileWriter({ root, path, space }), opened);
    await rm(file);
    return [];
  });
}
