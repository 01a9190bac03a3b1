import { SourceError } from './errors.ts';
import { unavailable } from './http-errors.ts';

/** The folder is none that the operator allows. Says the same of folders that are there and that are not. */
export class ForbiddenFolderError extends SourceError {
  constructor(
    message = 'The folder is not below one that this server may read from; ask its operator to allow it (SLUICE_ALLOW_FOLDERS).',
  ) {
    super('SOURCE_NOT_AUTHORIZED', message);
  }
}

const MISSING: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG']);
const REFUSED: ReadonlySet<string> = new Set(['EACCES', 'EPERM']);

/**
 * What an error of the file system means for whoever asked for a file or a folder. Anything else, a SourceError too,
 * stays itself.
 */
export function errorOfFolder(error: unknown, what: 'file' | 'folder'): unknown {
  const code = codeOf(error);
  if (code === null || error instanceof SourceError) return error;
  if (MISSING.has(code)) return missing(what);
  if (REFUSED.has(code)) {
    const message = `This server may not read the ${what}; let the user that it runs as read it.`;
    return new SourceError('SOURCE_NOT_AUTHORIZED', message);
  }
  if (code === 'ELOOP') {
    const message = 'This is a link that is not followed; put the file itself there.';
    return new SourceError('SOURCE_NOT_AUTHORIZED', message);
  }
  const message = `The ${what} cannot be read at the moment (${code}); check the disk or the share that it is on.`;
  return unavailable(message, { retryable: true, cause: error });
}

/** Whether there is nothing at a path, or only something that a path does not lead through. */
export function isMissing(error: unknown): boolean {
  return MISSING.has(codeOf(error) ?? '');
}

function codeOf(error: unknown): string | null {
  // Errors of Node itself (`ERR_…`) are mistakes of ours.
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return null;
  return error.code.startsWith('ERR_') ? null : error.code;
}

/** The error for a file or folder that is not there. */
export function missing(what: 'file' | 'folder'): SourceError {
  return new SourceError(
    'SOURCE_NOT_FOUND',
    `There is no such ${what}; check whether it was moved, renamed or deleted.`,
  );
}

/** The error for what no key can name. */
export function nameless(): SourceError {
  return new SourceError(
    'SOURCE_NOT_FOUND',
    'Its path is no valid UTF-8, or longer than 1024 bytes; rename it, or move it up.',
  );
}

/** The error for what lies somewhere else, in whatever way the path leads there. */
export function leadsOut(): SourceError {
  return new SourceError(
    'SOURCE_NOT_AUTHORIZED',
    'This is a link to something outside of the folder; put the file itself there.',
  );
}

/** The error for a file that is not the one that was opened any more. */
export function replaced(): SourceError {
  return new SourceError('SOURCE_CHANGED', 'The file was changed while it was being read.', {
    retryable: true,
  });
}
