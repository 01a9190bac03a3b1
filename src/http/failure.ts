import type { FastifyBaseLogger } from 'fastify';
import { isDatabaseAway } from '../services/when-connected.ts';
import { databaseAway } from './errors.ts';

/** How a request that could not be answered is told so. */
export interface Failure {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: object;
}

/**
 * Says nothing of what is inside: an error that nobody expected is logged under an id, which is all that is told of it.
 * @param id of the request
 */
export function failureOf(
  error: unknown,
  id: string,
  log: Pick<FastifyBaseLogger, 'warn' | 'error'>,
): Failure {
  if (isDatabaseAway(error)) {
    log.warn({ err: error }, 'a request failed: the database cannot be reached');
    const { status, message, extensions, headers } = databaseAway();
    return { status, headers, body: { message, errors: [{ message, extensions }] } };
  }
  log.error({ err: error, errorId: id }, 'unexpected error');
  const message = `Unexpected error. Its id in the server's log is ${id}.`;
  const extensions = { code: 'INTERNAL_SERVER_ERROR', errorId: id };
  return { status: 500, headers: {}, body: { message, errors: [{ message, extensions }] } };
}
