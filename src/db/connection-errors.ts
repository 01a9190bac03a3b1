import { rootCause, sqlState } from './sql-state.ts';

// PostgreSQL manual, appendix A: class 08 (connection exception), 57P01 to 57P03 (shutdown, crash, starting up),
// 53300 (too many connections) and 25006 (read-only, as a standby is for as long as a failover takes).
const CONNECTION_STATES = /^(08...|57P0[1-3]|53300|25006)$/;
const CONNECTION_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);
// pg gives these no code (pg/lib/client.js, pg-pool/index.js).
const CONNECTION_MESSAGES =
  /^(Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect|timeout expired|Client was closed|Query read timeout)/;

/** Whether the database could not be reached, or went away during the statement, whose effect is then unknown. */
export function isConnectionError(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== undefined && CONNECTION_STATES.test(state)) return true;
  const cause = rootCause(error);
  if (!(cause instanceof Error)) return false;
  if ('code' in cause && typeof cause.code === 'string' && CONNECTION_CODES.has(cause.code)) return true;
  // The socket file of a local server is gone while it restarts.
  if ('syscall' in cause && cause.syscall === 'connect') return true;
  return CONNECTION_MESSAGES.test(cause.message);
}
