import { constants } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { guarded, isMissing, notFound } from './file-errors.ts';
import { makeFolder, removeEmptyFolders, syncFolder } from './folders.ts';

interface Way {
  readonly from: string;
  readonly to: string;
}

/**
 * Lets a complete file be at another path, in an order in which a power cut leaves it whole at one of the two. What was
 * written by somebody else need not be on the disk before.
 * @throws {StorageError} with reason NOT_FOUND where there is no such file
 */
export async function moveFile(root: string, way: Way): Promise<void> {
  await guarded(async () => {
    for (const folder of await publishFile(way)) await syncFolder(folder);
    await removeEmptyFolders(root, dirname(way.from));
  });
}

/**
 * Makes a file durable and lets it appear at another path of the volume.
 * @returns the folders in which it is not durable before `syncFolder`
 * @throws {StorageError} with reason NOT_FOUND for what is no plain file: a symbolic link is not followed
 */
export async function publishFile({ from, to }: Way): Promise<readonly string[]> {
  const handle = await open(from, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    if (!(await handle.stat()).isFile()) throw notFound();
    await handle.chmod(0o600);
    await handle.sync();
  } finally {
    await handle.close();
  }
  const newFolders = await renameInto({ from, to });
  return [dirname(to), ...newFolders];
}

async function renameInto(way: Way, attempts = 3): Promise<readonly string[]> {
  const newFolders = await makeFolder(dirname(way.to));
  try {
    await rename(way.from, way.to);
    return newFolders;
  } catch (error) {
    // Somebody who removed a neighbour took the empty folder along.
    if (isMissing(error) && attempts > 1) return await renameInto(way, attempts - 1);
    throw error;
  }
}
