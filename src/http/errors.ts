import { randomUUID } from 'node:crypto';
import { DrizzleQueryError } from 'drizzle-orm';
import { GraphQLError } from 'graphql';
import type { Logger } from 'pino';
import { BadFilterError, ForbiddenError, TOO_COMPLEX } from '../services/errors.ts';
import { isDatabaseAway } from '../services/when-connected.ts';

const code = (error: GraphQLError) => error.extensions.code;

/** An error with a code: what the parser, validation and the coercion of variables find is the caller's to mend. */
export function withCode(error: GraphQLError): GraphQLError {
  if (code(error) !== undefined && CODES.has(String(code(error)))) return error;
  const [message, known] = error.message.includes(TOO_COMPLEX)
    ? [TOO_COMPLEX, 'QUERY_TOO_COMPLEX']
    : [error.message, 'BAD_USER_INPUT'];
  return derived(error, { message, extensions: { ...error.extensions, code: known } });
}

/** The same error without what graphql proposes instead ("Did you mean …"), which tells names of the schema. */
function withoutHint(error: GraphQLError): GraphQLError {
  const message = error.message.replace(/ Did you mean [^?]*\?/g, '');
  return message === error.message ? error : derived(error, { message, extensions: error.extensions });
}

/** The same error of a variable without its value, which graphql repeats: it may hold a secret, and errors get into logs. */
function withoutValue(error: GraphQLError): GraphQLError {
  const [, variable] = /^Variable "(\$\w+)" got invalid value /.exec(error.message) ?? [];
  const cause = error.originalError;
  if (variable === undefined || !(cause instanceof GraphQLError)) return error;
  const [place = ''] = / at "[^"]*"$/.exec(error.message.slice(0, -`; ${cause.message}`.length)) ?? [];
  const said = cause.message.replace(/( cannot represent [^:]*): [\s\S]*$/, '$1.');
  return derived(error, {
    message: `Variable "${variable}" got an invalid value${place}; ${said}`,
    extensions: error.extensions,
  });
}

const CODES: ReadonlySet<string> = new Set([
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'NOT_FOUND',
  'BAD_USER_INPUT',
  'QUERY_TOO_COMPLEX',
  'RATE_LIMITED',
  'INTERNAL_SERVER_ERROR',
]);

/** Another error at the same place of the document and the answer. */
function derived(
  error: GraphQLError,
  { message, extensions }: { readonly message: string; readonly extensions: Record<string, unknown> },
): GraphQLError {
  return new GraphQLError(message, {
    nodes: error.nodes ?? null,
    source: error.source ?? null,
    positions: error.positions ?? null,
    path: error.path ?? null,
    extensions,
  });
}

/** Makes of any error what the caller may see of it. */
export type ErrorMask = (error: unknown) => GraphQLError;

/**
 * Expected errors pass, with a code; of any other only an id is told, under which the log has it. Variables are never logged.
 * @param options.hints whether proposals ("Did you mean …") may be told
 */
export function createErrorMask({
  log,
  hints,
}: {
  readonly log: Logger;
  readonly hints: boolean;
}): ErrorMask {
  return (error) => {
    const expected = toExpected(error);
    if (expected !== null) return hints ? expected : withoutHint(expected);
    const at = error instanceof GraphQLError ? error : undefined;
    const cause = at?.originalError ?? error;
    if (isDatabaseAway(cause)) {
      log.warn({ ...loggable(cause), path: at?.path }, 'a request failed: the database cannot be reached');
      const { message, extensions } = databaseAway();
      return at ? derived(at, { message, extensions }) : new GraphQLError(message, { extensions });
    }
    const errorId = randomUUID();
    log.error({ ...loggable(cause), errorId, path: at?.path }, 'unexpected error');
    const message = `Unexpected error. Its id in the server's log is ${errorId}.`;
    const extensions = { code: 'INTERNAL_SERVER_ERROR', errorId };
    return at ? derived(at, { message, extensions }) : new GraphQLError(message, { extensions });
  };
}

/** Long enough for a restart; nobody has to wait for a failover in one go. */
const RETRY_AFTER_SECONDS = 2;

/** What is answered while the database is away, over HTTP with 503. */
export function databaseAway(): {
  readonly message: string;
  readonly extensions: Record<string, unknown>;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
} {
  const status = 503;
  const headers = { 'retry-after': String(RETRY_AFTER_SECONDS) };
  const extensions = { code: 'INTERNAL_SERVER_ERROR', retryAfterSeconds: RETRY_AFTER_SECONDS };
  // Yoga's way to be told of both; not enumerable, so that a socket's answer has no such thing in it.
  Object.defineProperty(extensions, 'http', { value: { status, headers } });
  return {
    message: `The database cannot be reached at the moment. Try again in ${RETRY_AFTER_SECONDS} seconds; a change may have been made all the same.`,
    extensions,
    status,
    headers,
  };
}

/** Of a statement that failed, why and its text: the values it was given, which its error repeats, are the caller's. */
function loggable(error: unknown): { readonly err: unknown; readonly statement?: string } {
  return error instanceof DrizzleQueryError ? { err: error.cause, statement: error.query } : { err: error };
}

/** The error for the caller if it is one that was made for callers; null for any other. */
function toExpected(error: unknown): GraphQLError | null {
  if (!(error instanceof GraphQLError)) return null;
  const cause = error.originalError;
  if (cause === undefined || cause instanceof GraphQLError) return withCode(withoutValue(error));
  if (cause instanceof BadFilterError)
    return derived(error, { message: cause.message, extensions: { code: 'BAD_USER_INPUT' } });
  if (cause instanceof ForbiddenError) {
    const { message, requiredScope } = cause;
    return derived(error, { message, extensions: { code: 'FORBIDDEN', requiredScope } });
  }
  return null;
}
