import { StorageError, StorageFullError } from './adapter.ts';

/** The error code of Node's (`ENOENT` …), or an empty string. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** Whether a file is missing: ENOTDIR says that a folder on its way is a file. */
export function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR';
}

/** Turns what the file system threw into a StorageError; one that is a StorageError already stays itself. */
function toStorageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  const code = codeOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') return new StorageFullError({ cause: error });
  // ELOOP: a symbolic link where a file should be.
  if (isMissing(error) || code === 'EISDIR' || code === 'ELOOP') return notFound(error);
  return new StorageError('UNAVAILABLE', `The storage does not work (${code || 'unknown error'}).`, {
    cause: error,
  });
}

/** The error for a key at which nothing was committed. */
export function notFound(cause?: unknown): StorageError {
  return new StorageError('NOT_FOUND', 'There is no such object in the storage.', { cause });
}

/** Calls a function of the file system; what it throws comes as a StorageError. */
export async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toStorageError(error);
  }
}
