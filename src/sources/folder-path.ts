import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { type FileHandle, lstat, readlink, realpath } from 'node:fs/promises';
import { sep } from 'node:path';

/**
 * A path as its bytes, one character a byte: file names need not be text, and such strings compare in the order of
 * their bytes.
 */
export type RawPath = string;

/** Whether the system tells where an open file lies. */
export const TELLS_PATHS = process.platform === 'linux';

/** As S3 has it, and the API takes. */
const MAX_KEY_BYTES = 1024;

/** The bytes of a path that is text. */
export const rawOf = (path: string): RawPath => Buffer.from(path).toString('latin1');

/** What the file system takes. */
export const pathOf = (path: RawPath): Buffer => Buffer.from(path, 'latin1');

/** A path as text; null if it is none. */
export function textOf(path: RawPath): string | null {
  const bytes = pathOf(path);
  return isUtf8(bytes) ? bytes.toString() : null;
}

/** The path of a name in a folder; an empty folder is where paths begin. */
export const joinRaw = (folder: RawPath, name: RawPath): RawPath =>
  folder === '' || folder.endsWith('/') ? folder + name : `${folder}/${name}`;

/** Whether a path is this folder or lies below it; both are real paths. */
export function isAtOrBelow(path: RawPath, folder: RawPath): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

/**
 * The path without any link in it.
 * @throws the error of the file system
 */
export async function realPathOf(path: RawPath): Promise<RawPath> {
  return (await realpath(pathOf(path), { encoding: 'buffer' })).toString('latin1');
}

/**
 * Where the file that is open really lies, whatever its path leads to by now.
 * @param path that it was opened by, for systems that do not tell
 * @returns null if that cannot be said any more
 * @throws the error of the file system
 */
export async function realPathOfHandle(
  handle: FileHandle,
  path: RawPath,
  tells = TELLS_PATHS,
): Promise<RawPath | null> {
  if (tells) {
    return (await readlink(`/proc/self/fd/${handle.fd}`, { encoding: 'buffer' })).toString('latin1');
  }
  const real = await realPathOf(path);
  const [opened, found] = [await handle.stat({ bigint: true }), await lstat(pathOf(real), { bigint: true })];
  return isSame(opened, found) ? real : null;
}

const isSame = (a: BigIntStats, b: BigIntStats) => a.dev === b.dev && a.ino === b.ino;

/** Whether a path comes behind another one: names compare by their bytes, and what is in a folder comes where its name does. */
export const isSortedBehind = (path: RawPath, other: RawPath): boolean => orderOf(path) > orderOf(other);

/** Whether all that is in a folder comes before another path. */
export function isPassed(folder: RawPath, other: RawPath): boolean {
  return orderOf(folder) < orderOf(other) && !other.startsWith(folder);
}

/** No name holds U+0000, so that the end of a name comes before anything else. */
const orderOf = (path: RawPath) => path.replaceAll('/', '\0');

/** The key of a path below the folder; null if it has none, being no text or longer than keys are. */
export function keyOf(path: RawPath): string | null {
  return path.length > MAX_KEY_BYTES ? null : textOf(path);
}

/**
 * What stands for the key of a path that has none. It can be stored, is no other file's key as none has an empty
 * part, and ends in the name as far as that can be read.
 */
export function substituteKey(path: RawPath): string {
  const at = path.lastIndexOf('/', path.length - 2) + 1;
  const [folder, name] = [path.slice(0, at), pathOf(path.slice(at)).toString()];
  const digest = createHash('sha256').update(pathOf(path)).digest('hex').slice(0, 32);
  const key = `${pathOf(folder).toString()}/${digest}/${name}`;
  return Buffer.byteLength(key) <= MAX_KEY_BYTES ? key : `/${digest}/${name}`;
}
