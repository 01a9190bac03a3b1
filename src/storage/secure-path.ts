import { join } from 'node:path';
import { StorageError } from './adapter.ts';

/** Behind the name of a file that is not committed yet. */
export const PARTIAL_SUFFIX = '.part';

const MAX_KEY_LENGTH = 1024;
// No segment begins with a dot, so none is `.` or `..`; none is longer than a file name may be with its suffix.
const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/;

/** Whether this text may be one segment of a key. */
export function isSegment(text: string): boolean {
  return SEGMENT.test(text) && !text.endsWith(PARTIAL_SUFFIX);
}

/**
 * Holds a key to what every storage accepts.
 * @throws {StorageError} with reason INVALID_KEY
 */
export function assertKey(key: string): void {
  if (!isKey(key)) throw new StorageError('INVALID_KEY', 'This is no key of the storage.');
}

/** Whether this text is a key: segments parted by `/`. */
export function isKey(text: string): boolean {
  return text.length <= MAX_KEY_LENGTH && text.split('/').every(isSegment);
}

/**
 * The path of a key below a folder. What is not a plain relative path of plain names is refused, not repaired.
 * @param root absolute path of the folder
 * @throws {StorageError} with reason INVALID_KEY
 */
export function pathOfKey(root: string, key: string): string {
  assertKey(key);
  return join(root, ...key.split('/'));
}
