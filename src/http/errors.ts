import { randomUUID } from 'node:crypto';
import { DrizzleQueryError } from 'drizzle-orm';
import { GraphQLError } from 'graphql';
import type { Logger } from 'pino';
import { BadFilterError, TOO_COMPLEX } from '../services/errors.ts';

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
    const errorId = randomUUID();
    const at = error instanceof GraphQLError ? error : undefined;
    log.error({ ...loggable(at?.originalError ?? error), errorId, path: at?.path }, 'unexpected error');
    const message = `Unexpected error. Its id in the server's log is ${errorId}.`;
    const extensions = { code: 'INTERNAL_SERVER_ERROR', errorId };
    return at ? derived(at, { message, extensions }) : new GraphQLError(message, { extensions });
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
  if (cause === undefined || cause instanceof GraphQLError) return withCode(error);
  if (cause instanceof BadFilterError)
    return derived(error, { message: cause.message, extensions: { code: 'BAD_USER_INPUT' } });
  return null;
}
