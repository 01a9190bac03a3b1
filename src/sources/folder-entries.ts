import { constants, type Dirent } from 'node:fs';
import { type FileHandle, open, opendir } from 'node:fs/promises';
import { SourceError } from './errors.ts';
import { errorOfFolder, isMissing, leadsOut } from './folder-errors.ts';
import { isAtOrBelow, joinRaw, pathOf, type RawPath, realPathOfHandle, TELLS_PATHS } from './folder-path.ts';
import { waitFor } from './folder-wait.ts';

/**
 * Ends the names of folders among the entries. No name holds it, and as it sorts before everything else, the entries are
 * in the order of the names.
 */
export const FOLDER_MARK = '\0';

/** A folder with very many names on a slow share may take long. */
const READ_TIMEOUT_MS = 600_000;

interface ReadOptions {
  /** Path below the root; empty: the root itself. */
  readonly folder: RawPath;
  readonly signal: AbortSignal;
}

/**
 * Reads the names in a folder, sorted. One below the root that is not there any more counts as empty; one that may not be
 * read gives the reason.
 * @param root real path of the folder that must not be left
 * @throws {SourceError} when it cannot be read at the moment, or is the root and is not there
 * @throws the reason of the signal, when it aborts
 */
export async function readEntries(
  root: RawPath,
  { folder, signal }: ReadOptions,
): Promise<readonly string[] | SourceError> {
  try {
    const work = readSorted(root, { folder, signal });
    return await waitFor(work, { signal, timeoutMs: READ_TIMEOUT_MS });
  } catch (error) {
    signal.throwIfAborted();
    if (folder !== '' && isMissing(error)) return [];
    const known = errorOfFolder(error, 'folder');
    if (known instanceof SourceError && known.code === 'SOURCE_NOT_AUTHORIZED') return known;
    throw known;
  }
}

async function readSorted(root: RawPath, { folder, signal }: ReadOptions): Promise<string[]> {
  const path = joinRaw(root, folder);
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
  const handle = await open(pathOf(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    const real = await realPathOfHandle(handle, path);
    if (real === null || !isAtOrBelow(real, root)) throw leadsOut();
    const names: string[] = [];
    for await (const entry of await openNames(handle, path)) {
      signal.throwIfAborted();
      names.push(entry.name.toString('latin1') + (entry.isDirectory() ? FOLDER_MARK : ''));
    }
    return names.sort();
  } finally {
    await handle.close();
  }
}

/** Opens what the handle holds, where that is possible: the path may have become a link to elsewhere. */
async function openNames(handle: FileHandle, path: RawPath): Promise<AsyncIterable<Dirent<Buffer>>> {
  const at = TELLS_PATHS ? `/proc/self/fd/${handle.fd}` : pathOf(path);
  // Node takes 'buffer' here as in readdir; its types do not know that.
  const options = { encoding: 'buffer' as BufferEncoding, bufferSize: 1024 };
  return (await opendir(at, options)) as unknown as AsyncIterable<Dirent<Buffer>>;
}
