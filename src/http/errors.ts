import { randomUUID } from 'node:crypto';
import { GraphQLError } from 'graphql';
import type { Logger } from 'pino';
import { BadFilterError } from '../services/errors.ts';

/** What a document is told that passes one of the limits; which one is not told. */
export const TOO_COMPLEX = 'The operation is too complex.';

const code = (error: GraphQLError) => error.extensions.code;

/** An error with a code: what the parser, validation and the coercion of variables find is the caller's to mend. */
export function withCode(error: GraphQLError): GraphQLError {
  if (code(error) !== undefined && CODES.has(String(code(error)))) return error;
  const known = error.message === TOO_COMPLEX ? 'QUERY_TOO_COMPLEX' : 'BAD_USER_INPUT';
  return derived(error, { message: error.message, extensions: { ...error.extensions, code: known } });
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

/**
 * What a caller may see of an error. Expected ones pass; of any other only an id, under which the log has it.
 * Variables are never logged.
 */
export function createErrorMask(log: Logger): (error: unknown) => GraphQLError {
  return (error) => {
    if (error instanceof GraphQLError) {
      const cause = error.originalError;
      if (cause === undefined || cause instanceof GraphQLError) return withCode(error);
      if (cause instanceof BadFilterError) {
        return derived(error, { message: cause.message, extensions: { code: 'BAD_USER_INPUT' } });
      }
    }
    const errorId = randomUUID();
    const cause = error instanceof GraphQLError ? error.originalError : error;
    log.error(
      { err: cause, errorId, path: error instanceof GraphQLError ? error.path : undefined },
      'unexpected error',
    );
    const message = `Unexpected error. Its id in the server's log is ${errorId}.`;
    const extensions = { code: 'INTERNAL_SERVER_ERROR', errorId };
    return error instanceof GraphQLError
      ? derived(error, { message, extensions })
      : new GraphQLError(message, { extensions });
  };
}
