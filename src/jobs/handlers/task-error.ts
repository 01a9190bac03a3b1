import type { StoredError } from '../../db/tables/tasks.ts';
import { MediaNoRoomError, MediaProcessError, MediaRejectedError } from '../../media/errors.ts';
import { NoRoomError } from '../../services/errors.ts';
import { SourceError } from '../../sources/errors.ts';
import { StorageError, StorageFullError } from '../../storage/adapter.ts';
import { CrashError, PermanentError, TransientError, WaitError } from '../errors.ts';
import type { Failure } from '../handler.ts';

/** The file misses a rule: trying again would not change that. */
export class RuleError extends Error {
  override readonly name = 'RuleError';
  readonly stored: StoredError;

  constructor(stored: Omit<StoredError, 'retryable'>) {
    super(stored.message);
    this.stored = { ...stored, retryable: false };
  }
}

/** Why a task waits for room in the storage. */
export const STORAGE_FULL: StoredError = {
  code: 'STORAGE_FULL',
  message: 'The storage has no room for the video. The transfer goes on by itself when there is some.',
  retryable: true,
};

/** The storage did not answer, or what was being written is gone, as it is when another worker has taken the video over. */
const STORAGE_FAILED: StoredError = {
  code: 'INTERNAL',
  message: 'The storage of the server could not be written to or read. It is tried again.',
  retryable: true,
};

/** How long a task waits before it looks again whether the storage has room. */
const STORAGE_FULL_SECONDS = 30;

/** What a fault of a step means for its job: tried again, ended, counted as a crash, or made to wait. */
export function toJobError(error: unknown): unknown {
  if (error instanceof RuleError || error instanceof MediaRejectedError || error instanceof NoRoomError)
    return new PermanentError(error.message, { cause: error });
  if (error instanceof MediaProcessError) return new CrashError(error.message, { cause: error });
  if (error instanceof StorageFullError || error instanceof MediaNoRoomError)
    return new WaitError({ seconds: STORAGE_FULL_SECONDS, reason: 'STORAGE' });
  if (error instanceof StorageError && error.reason !== 'INVALID_KEY')
    return new TransientError(error.message, { cause: error });
  if (!(error instanceof SourceError)) return error;
  if (!error.retryable) return new PermanentError(error.message, { cause: error });
  const { code, retryAfterSeconds } = error;
  return new TransientError(error.message, {
    code,
    cause: error,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  });
}

/** A fault as the task tells it: a code, and a sentence for people. What is nobody's business is INTERNAL. */
export function toStoredError(fault: unknown): StoredError {
  const error =
    fault instanceof PermanentError || fault instanceof TransientError || fault instanceof CrashError
      ? fault.cause
      : fault;
  if (error instanceof RuleError || error instanceof NoRoomError) return error.stored;
  if (error instanceof SourceError) {
    const { code, message, retryable, measured, required } = error;
    return {
      code,
      message,
      retryable,
      ...(measured === undefined ? {} : { measured }),
      ...(required === undefined ? {} : { required }),
    };
  }
  if (error instanceof MediaRejectedError)
    return { code: error.code, message: error.message, retryable: false };
  if (error instanceof MediaProcessError) return processError(error);
  if (error instanceof StorageFullError || error instanceof MediaNoRoomError) return STORAGE_FULL;
  if (error instanceof StorageError) return STORAGE_FAILED;
  return {
    code: 'INTERNAL',
    message: 'Something went wrong on our side. It is tried again.',
    retryable: true,
  };
}

const CRASHED: StoredError = {
  code: 'PROCESSING_CRASHED',
  message: 'Reading the file ended the process that read it.',
  retryable: true,
};

function processError({ reason }: MediaProcessError): StoredError {
  return reason === 'TIMEOUT'
    ? {
        code: 'PROCESSING_TIMEOUT',
        message: 'Reading the file took longer than a video may take.',
        retryable: true,
      }
    : CRASHED;
}

/** The error of a task whose job failed: retryable says whether retrying it by hand may help, once it has ended. */
export function failureError(failure: Failure): StoredError {
  const told = toStoredError(failure.error);
  // Whatever ended the worker three times while it served this job alone.
  const stored = failure.kind === 'CRASH' && told.code === 'INTERNAL' ? CRASHED : told;
  if (!failure.final || stored.code !== 'INTERNAL') return stored;
  const id = failure.errorId === undefined ? '' : ` Its id in the server's log is ${failure.errorId}.`;
  return { ...stored, message: `Something went wrong on our side, several times.${id}` };
}
