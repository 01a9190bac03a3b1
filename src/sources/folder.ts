import { lstat, opendir } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { errorOfFolder, ForbiddenFolderError, missing } from './folder-errors.ts';
import { createFolderFile } from './folder-file.ts';
import { createListing } from './folder-listing.ts';
import { isAtOrBelow, pathOf, type RawPath, rawOf, realPathOf, textOf } from './folder-path.ts';
import { waitFor } from './folder-wait.ts';
import type { ObjectSource } from './source.ts';

export interface FolderSourceOptions {
  /** As `resolveFolder` gave it when the folder was set up. */
  readonly path: string;
  /** The folders that the operator allows, as absolute paths. */
  readonly allowed: readonly string[];
}

/**
 * A folder as a place that holds files. Each call looks anew whether it still lies where the operator allows it, and no
 * file is read that lies elsewhere, whatever becomes of paths meanwhile.
 */
export function createFolderSource({ path, allowed }: FolderSourceOptions): ObjectSource {
  const root = async (signal: AbortSignal) => rawOf(await waitFor(resolveFolder(path, allowed), { signal }));
  const origin = pathToFileURL(path).href;
  return {
    place: `folder:${path}`,
    async check(signal) {
      const real = await root(signal);
      await waitFor(tryToRead(real), { signal });
    },
    list: createListing(root),
    file: (key) => createFolderFile({ key, origin, host: path, resolve: root }),
  };
}

/**
 * The real path of a folder that lies in one of those that the operator allows, or is one of them.
 * @param path from the root of the file system
 * @throws {ForbiddenFolderError} when it lies elsewhere, or the path is relative
 * @throws {SourceError} SOURCE_NOT_FOUND, SOURCE_NOT_AUTHORIZED, or SOURCE_UNAVAILABLE when its disk does not answer
 */
export async function resolveFolder(path: string, allowed: readonly string[]): Promise<string> {
  if (!isAbsolute(path) || path.includes('\0')) {
    throw new ForbiddenFolderError('Give the whole path of the folder, from the root of the file system.');
  }
  const places = await realPathsOf(allowed);
  const isAllowed = (real: RawPath) => places.some((place) => isAtOrBelow(real, place));
  try {
    const real = await realPathOf(rawOf(path));
    if (!isAllowed(real)) throw new ForbiddenFolderError();
    const text = textOf(real);
    if (text === null || !(await lstat(pathOf(real))).isDirectory()) throw missing('folder');
    return text;
  } catch (error) {
    // What is there elsewhere is nobody's business.
    const named = rawOf(resolve(path));
    const isNamed = allowed.some((place) => isAtOrBelow(named, rawOf(resolve(place))));
    if (!isNamed && !isAllowed(named)) throw new ForbiddenFolderError();
    throw errorOfFolder(error, 'folder');
  }
}

/** Those that are there; the others may be one day. */
async function realPathsOf(folders: readonly string[]): Promise<RawPath[]> {
  const found = await Promise.allSettled(folders.map((folder) => realPathOf(rawOf(resolve(folder)))));
  return found.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

async function tryToRead(folder: RawPath): Promise<void> {
  try {
    const names = await opendir(pathOf(folder));
    try {
      await names.read();
    } finally {
      await names.close();
    }
  } catch (error) {
    throw errorOfFolder(error, 'folder');
  }
}
