import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { guarded } from './file-errors.ts';
import { makeFolder, removeEmptyFolders, syncFolder } from './folders.ts';

/**
 * Lets a complete file be at another path, in an order in which a power cut leaves it whole at one of the two. What was
 * written by somebody else need not be on the disk before.
 * @throws {StorageError} with reason NOT_FOUND where there is no such file
 */
export async function moveFile(
  root: string,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<void> {
  await guarded(async () => {
    const handle = await open(from, 'r+');
    try {
      await handle.chmod(0o600);
      await handle.sync();
    } finally {
      await handle.close();
    }
    const newFolders = await makeFolder(dirname(to));
    await rename(from, to);
    for (const folder of [dirname(to), ...newFolders]) await syncFolder(folder);
    await removeEmptyFolders(root, dirname(from));
  });
}
