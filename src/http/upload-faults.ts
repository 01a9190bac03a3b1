import { randomUUID } from 'node:crypto';
import { ERRORS } from '@tus/server';
import type { Logger } from 'pino';
import { type UploadRefusal, UploadRefusedError } from '../services/errors.ts';
import { isDatabaseAway } from '../services/when-connected.ts';
import { StorageFullError } from '../storage/adapter.ts';

const STATUS: Readonly<Record<UploadRefusal, number>> = {
  INVALID: 400,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  GONE: 410,
  TOO_LARGE: 413,
  LOCKED: 423,
  TOO_MANY: 429,
  FULL: 507,
};

interface FaultAnswer {
  readonly status_code: number;
  readonly body: string;
}

/** What a client is told when a request for an upload fails: what it can mend, or an id under which the log has the rest. */
export function answerOfFault(log: Logger, fault: unknown): FaultAnswer {
  if (fault instanceof UploadRefusedError) return answer(STATUS[fault.reason], fault.message);
  if (fault instanceof StorageFullError)
    return answer(STATUS.FULL, 'The storage has no room for this upload. Try again later.');
  if (isDatabaseAway(fault)) {
    log.warn({ err: fault }, 'a request for an upload failed: the database cannot be reached');
    return answer(503, 'The database cannot be reached at the moment. Try again.');
  }
  const own = ownAnswer(fault);
  if (own !== null && own.status_code !== 500) return own;
  const errorId = randomUUID();
  // Cut requests end like this, too: nobody reads the answer to them.
  const level = fault === ERRORS.FILE_WRITE_ERROR ? 'info' : 'error';
  log[level]({ err: own === null ? fault : new Error(own.body), errorId }, 'a request for an upload failed');
  return answer(own?.status_code ?? 500, `Unexpected error. Its id in the server's log is ${errorId}.`);
}

const answer = (status: number, message: string): FaultAnswer => ({
  status_code: status,
  body: `${message}\n`,
});

/** The errors of tus are objects with a status and a text for the client. */
function ownAnswer(fault: unknown): FaultAnswer | null {
  if (typeof fault !== 'object' || fault === null) return null;
  if (!('status_code' in fault) || typeof fault.status_code !== 'number') return null;
  const body = 'body' in fault && typeof fault.body === 'string' ? fault.body : '';
  return { status_code: fault.status_code, body };
}
