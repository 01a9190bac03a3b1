import type { ImportState } from '../db/tables/imports.ts';
import type { StoredError, TaskStatus } from '../db/tables/tasks.ts';
import type { UsageLimit } from './usage.ts';
import type { Scope } from './viewer.ts';

/** What was wrong with one part of the input. */
export interface InputIssue {
  /** From the argument on, list positions as numbers: input, from, videos, 3, url. */
  readonly path: readonly string[];
  readonly code: InputIssueCode;
  readonly message: string;
}

export const INPUT_ISSUE_CODES = [
  'REQUIRED',
  'INVALID',
  'TOO_SHORT',
  'TOO_LONG',
  'TOO_SMALL',
  'TOO_LARGE',
  'TOO_FEW',
  'TOO_MANY',
  'DUPLICATE',
  'RESERVED_KEY',
  'FORBIDDEN_ADDRESS',
  'FORBIDDEN_FOLDER',
] as const;
export type InputIssueCode = (typeof INPUT_ISSUE_CODES)[number];

/** The input breaks rules that its types cannot express; nothing was stored. */
export class InvalidInputError extends Error {
  override readonly name = 'InvalidInputError';
  readonly issues: readonly InputIssue[];

  constructor(issues: readonly InputIssue[]) {
    const [first] = issues;
    const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : '';
    super(first ? `${first.path.join('.')}: ${first.message}${more}` : 'The input is invalid.');
    this.issues = issues;
  }
}

/** An id of the input names nothing that this key can reach. */
export class NotFoundError extends Error {
  override readonly name = 'NotFoundError';
  readonly path: readonly string[];

  constructor(what: string, path: readonly string[]) {
    super(`There is no such ${what}.`);
    this.path = path;
  }
}

/** The key behind a call may not do that; nothing was done. */
export class ForbiddenError extends Error {
  override readonly name = 'ForbiddenError';
  readonly requiredScope: Scope;

  constructor(requiredScope: Scope) {
    super(`This API key may not do that. Use a key with the scope ${requiredScope}.`);
    this.requiredScope = requiredScope;
  }
}

/** A key has called too often within the last minute; nothing was done. */
export class RateLimitedError extends Error {
  override readonly name = 'RateLimitedError';
  readonly retryAfterSeconds: number;

  constructor(retryAfterSeconds: number) {
    super(`This API key has made too many calls. Try again in ${retryAfterSeconds} seconds.`);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** A limit of the team is reached, or would be passed by the call as a whole; nothing was done. */
export class UsageLimitExceededError extends Error {
  override readonly name = 'UsageLimitExceededError';
  readonly limit: UsageLimit;
  readonly used: number;
  readonly maximum: number;

  /** @param figures whole videos, bytes or seconds */
  constructor(limit: UsageLimit, figures: { readonly used: number; readonly maximum: number }) {
    const { used, maximum } = figures;
    super(
      `The team has used up the ${limit.toLowerCase()} that it may have. Delete videos, wait until running imports have ended, or have the limit raised.`,
    );
    this.limit = limit;
    this.used = used;
    this.maximum = maximum;
  }
}

/** A video turned out, behind its transfer, to be more than its team has room for; nothing was changed. */
export class NoRoomError extends Error {
  override readonly name = 'NoRoomError';
  readonly stored: StoredError;

  constructor(stored: StoredError) {
    super(stored.message);
    this.stored = stored;
  }
}

/** The idempotency key was used before, with another input. */
export class IdempotencyConflictError extends Error {
  override readonly name = 'IdempotencyConflictError';

  constructor() {
    super(
      'This idempotency key was used before with another input. Use a new key, or send the same input again.',
    );
  }
}

/** Why an import as a whole failed, or a source could not be set up. */
export const IMPORT_ERROR_CODES = [
  'SOURCE_UNAVAILABLE',
  'SOURCE_NOT_FOUND',
  'SOURCE_NOT_AUTHORIZED',
  'SOURCE_FORBIDDEN_ADDRESS',
  'NOTHING_CAME_IN',
  'INTERNAL',
] as const;
export type ImportErrorCode = (typeof IMPORT_ERROR_CODES)[number];

/** A source could not be listed; nothing was stored. */
export class SourceUnavailableError extends Error {
  override readonly name = 'SourceUnavailableError';
  readonly code: ImportErrorCode;

  constructor(code: ImportErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** An integration is in use by an import that has not finished. */
export class ImportAlreadyRunningError extends Error {
  override readonly name = 'ImportAlreadyRunningError';
  /** The row id of that import. */
  readonly importId: string;

  constructor(importId: string) {
    super(
      'An import from this integration has not finished yet. Wait until it has, or cancel it, and try again.',
    );
    this.importId = importId;
  }
}

/** An import has not finished, has no task that could be tried again, or is not whole any more. */
export class ImportCannotBeRetriedError extends Error {
  override readonly name = 'ImportCannotBeRetriedError';
  readonly state: ImportState;

  constructor(
    state: ImportState,
    {
      isExpired = false,
      isEnding = false,
    }: { readonly isExpired?: boolean; readonly isEnding?: boolean } = {},
  ) {
    super(isExpired ? EXPIRED : isEnding ? ENDING : whyNotRetried(state));
    this.state = state;
  }
}

/** What is said of an import, and of its tasks, when part of its records is gone. */
const EXPIRED =
  'The import finished so long ago that its records were removed. Start another import of what is still missing.';

const ENDING = 'The import is being canceled. Wait until it has finished, and try again.';

function whyNotRetried(state: ImportState): string {
  return state === 'PLANNING' || state === 'STARTED'
    ? 'The import has not finished yet. Wait until it has, or cancel it, and try again.'
    : 'The import has no task that failed or was canceled.';
}

/** Only what has finished can be deleted. */
export class ImportNotFinishedError extends Error {
  override readonly name = 'ImportNotFinishedError';
  readonly state: ImportState;

  constructor(state: ImportState) {
    const advice =
      state === 'CANCELED' ? 'Wait until its tasks have ended' : 'Wait until it has, or cancel it';
    super(`The import has not finished yet. ${advice}, and try again.`);
    this.state = state;
  }
}

/** A task has not ended, or its video is there. */
export class TaskCannotBeDeletedError extends Error {
  override readonly name = 'TaskCannotBeDeletedError';
  readonly status: TaskStatus;

  constructor(status: TaskStatus) {
    super(
      status === 'READY'
        ? 'The video of this task is there. Delete the video first.'
        : `Only a task that has ended can be deleted; this one is ${status}. Wait until it has ended, or cancel it.`,
    );
    this.status = status;
  }
}

/** An index has videos, or something is on its way into it. */
export class IndexNotEmptyError extends Error {
  override readonly name = 'IndexNotEmptyError';
  readonly videoCount: number;
  readonly unfinishedTaskCount: number;

  constructor({ videoCount, unfinishedTaskCount }: { videoCount: number; unfinishedTaskCount: number }) {
    super(
      `The index is not empty: it has ${videoCount} videos, and ${unfinishedTaskCount} more are on their way. Delete its videos, and wait until its imports and tasks have ended, or cancel them.`,
    );
    this.videoCount = videoCount;
    this.unfinishedTaskCount = unfinishedTaskCount;
  }
}

/** A team always has a default index. */
export class IndexIsDefaultError extends Error {
  override readonly name = 'IndexIsDefaultError';

  constructor() {
    super("This is the team's default index. Make another one the default first.");
  }
}

/** A task has neither failed nor been canceled, or its import is not whole any more, or the video is gone that it was to work on. */
export class TaskCannotBeRetriedError extends Error {
  override readonly name = 'TaskCannotBeRetriedError';
  readonly status: TaskStatus;

  constructor(
    status: TaskStatus,
    {
      isExpired = false,
      isEnding = false,
      isVideoGone = false,
    }: { readonly isExpired?: boolean; readonly isEnding?: boolean; readonly isVideoGone?: boolean } = {},
  ) {
    super(
      isExpired
        ? EXPIRED
        : isVideoGone
          ? 'The video that this task was to index again is gone. Import it again.'
          : isEnding
            ? 'The import of the task is being canceled. Wait until it has finished, and try again.'
            : `Only a task that has failed or was canceled can be tried again; this one is ${status}.`,
    );
    this.status = status;
  }
}

/** Why a request for an upload is refused. */
export type UploadRefusal =
  | 'INVALID'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'CONFLICT'
  | 'GONE'
  | 'TOO_LARGE'
  | 'LOCKED'
  | 'TOO_MANY'
  | 'FULL';

/** A request for an upload cannot be done. */
export class UploadRefusedError extends Error {
  override readonly name = 'UploadRefusedError';
  readonly reason: UploadRefusal;

  constructor(reason: UploadRefusal, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** What an operator has asked for cannot be done; the message says why. */
export class ManageError extends Error {
  override readonly name = 'ManageError';
}

/** A filter asks for what no row can have, because it cannot be stored. */
export class BadFilterError extends Error {
  override readonly name = 'BadFilterError';
}

/** What an event is about was deleted before it could be read: nobody is told of that event. */
export class GoneError extends Error {
  override readonly name = 'GoneError';
}

/** What an operation is told that passes one of the limits; which one is not told. */
export const TOO_COMPLEX = 'The operation is too complex.';
