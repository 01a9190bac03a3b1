/** Why a source does not give a video; a subset of the codes of a task's error. */
export type SourceErrorCode =
  | 'SOURCE_UNAVAILABLE'
  | 'SOURCE_NOT_FOUND'
  | 'SOURCE_NOT_AUTHORIZED'
  | 'SOURCE_FORBIDDEN_ADDRESS'
  | 'SOURCE_CHANGED'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'VIDEO_FILE_BROKEN'
  | 'VIDEO_FILESIZE_TOO_LARGE';

export interface SourceErrorOptions {
  /** Whether the same request may succeed later; false unless given. */
  readonly retryable?: boolean;
  /** How long the source asks us to wait, in seconds, at most an hour. */
  readonly retryAfterSeconds?: number | undefined;
  /** The figure that missed a rule, as the message writes it: `2147483649 bytes`. */
  readonly measured?: string;
  /** The figure of that rule. */
  readonly required?: string;
  readonly cause?: unknown;
}

/**
 * A source did not give what was asked. The message is one or two sentences for people, saying what happened and what
 * to do: it never holds a query string, user info, or an address that a name resolved to.
 */
export class SourceError extends Error {
  override readonly name = 'SourceError';
  readonly code: SourceErrorCode;
  readonly retryable: boolean;
  readonly retryAfterSeconds: number | undefined;
  readonly measured: string | undefined;
  readonly required: string | undefined;

  constructor(code: SourceErrorCode, message: string, options: SourceErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.measured = options.measured;
    this.required = options.required;
  }
}

/**
 * A part of a file was asked for that its server does not give on its own: it ignores Range, and the part lies beyond
 * the beginning that was kept. Nothing is wrong with the file; it has to be judged once it is here.
 */
export class NotReadableAheadError extends Error {
  override readonly name = 'NotReadableAheadError';

  constructor() {
    super('The server gives the file only as a whole.');
  }
}
