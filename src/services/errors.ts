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
  'TOO_FEW',
  'TOO_MANY',
  'RESERVED_KEY',
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

/** The idempotency key was used before, with another input. */
export class IdempotencyConflictError extends Error {
  override readonly name = 'IdempotencyConflictError';

  constructor() {
    super(
      'This idempotency key was used before with another input. Use a new key, or send the same input again.',
    );
  }
}

/** A filter asks for what no row can have, because it cannot be stored. */
export class BadFilterError extends Error {
  override readonly name = 'BadFilterError';
}

/** What an operation is told that passes one of the limits; which one is not told. */
export const TOO_COMPLEX = 'The operation is too complex.';
