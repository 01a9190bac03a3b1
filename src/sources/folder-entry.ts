import type { BigIntStats } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { SourceError } from './errors.ts';
import { isMissing, leadsOut, missing } from './folder-errors.ts';
import { isAtOrBelow, pathOf, type RawPath, realPathOf } from './folder-path.ts';

export interface PlainFile {
  /** Where links lead to in the end. It may have become one itself by the time it is used. */
  readonly path: RawPath;
  readonly stats: BigIntStats;
}

/**
 * Finds the plain file that a path leads to, without opening anything. A link is followed to a file below the folder.
 * @param root the real path of the folder
 * @throws {SourceError} why it is none: a special or hard-linked file, a folder, a link that leads out or nowhere
 * @throws the error of the file system
 */
export async function findPlainFile(root: RawPath, path: RawPath): Promise<PlainFile> {
  const stats = await lstat(pathOf(path), { bigint: true });
  if (stats.isSymbolicLink()) return followLink(root, path);
  assertPlain(stats);
  return { path, stats };
}

async function followLink(root: RawPath, path: RawPath): Promise<PlainFile> {
  const target = await targetOf(path);
  if (!isAtOrBelow(target, root)) throw leadsOut();
  const stats = await lstat(pathOf(target), { bigint: true });
  if (stats.isDirectory()) {
    const message = 'This is a link to a folder, which is not followed; import that folder itself.';
    throw new SourceError('SOURCE_NOT_AUTHORIZED', message);
  }
  assertPlain(stats);
  return { path: target, stats };
}

async function targetOf(link: RawPath): Promise<RawPath> {
  try {
    return await realPathOf(link);
  } catch (error) {
    if (!isMissing(error)) throw error;
    const message = 'This is a link to something that is not there; put the file itself there.';
    throw new SourceError('SOURCE_NOT_FOUND', message);
  }
}

/**
 * Lets plain files through. One with further hard links is refused: another of its names may lie where nobody allowed
 * it to be read.
 * @throws {SourceError}
 */
export function assertPlain(stats: BigIntStats): void {
  if (stats.isDirectory()) throw missing('file');
  if (!stats.isFile()) {
    const message = 'This is a pipe, a socket or a device; only plain files are read.';
    throw new SourceError('UNSUPPORTED_MEDIA_TYPE', message);
  }
  if (stats.nlink > 1n) {
    const message =
      'The file has several names (hard links), so it may be somebody else’s; put a copy there.';
    throw new SourceError('SOURCE_NOT_AUTHORIZED', message);
  }
}

/** What tells this version of a file from another: when it was last changed, in nanoseconds, and its size in bytes. */
export const versionOfStats = ({ mtimeNs, size }: BigIntStats): string => `${mtimeNs};${size}`;
