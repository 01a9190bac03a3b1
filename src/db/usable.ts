import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from 'pino';
import { rootCause, sqlState } from './sql-state.ts';

const OLDEST_SERVER_VERSION = 150_000;
const STARTING_UP = '57P03';
const STARTUP_PATIENCE_MS = 30_000;
const STARTUP_POLL_MS = 250;
const CONNECT_TIMEOUT_MS = 10_000;

/** Thrown when the database cannot be used as it is. Its message is one line that says what to do and holds no password. */
export class DatabaseUnusableError extends Error {
  override readonly name = 'DatabaseUnusableError';
}

/**
 * Opens one connection and checks that the server can carry Sluice: PostgreSQL 15 or newer, UTF-8, writable.
 * A server that is still starting is waited for, up to 30 seconds.
 *
 * @throws DatabaseUnusableError
 */
export async function connectForMigration(url: string, log: Logger): Promise<pg.Client> {
  const deadline = Date.now() + STARTUP_PATIENCE_MS;
  for (;;) {
    try {
      return await connectOnce(url, log);
    } catch (error) {
      if (sqlState(error) !== STARTING_UP || Date.now() > deadline) throw explainDatabaseError(error, url);
      await sleep(STARTUP_POLL_MS);
    }
  }
}

async function connectOnce(url: string, log: Logger): Promise<pg.Client> {
  const client = createClient(url);
  // An error event without a listener would end the process; the query under way is rejected as well.
  client.on('error', (error) => log.debug({ err: error }, 'the connection for migrations was lost'));
  try {
    await client.connect();
    await checkServer(client, url);
    return client;
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
}

function createClient(url: string): pg.Client {
  try {
    return new pg.Client({
      connectionString: url,
      application_name: 'sluice migrate',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    });
  } catch {
    // The error of a URL that cannot be read may hold the URL, and that the password.
    throw new DatabaseUnusableError(
      'The database URL cannot be read: it should look like postgresql://user:password@host:5432/database, with special characters percent-encoded.',
    );
  }
}

async function checkServer(client: pg.Client, url: string): Promise<void> {
  const { rows } = await client.query<ServerFacts>(`
    select current_setting('server_version_num')::int as version, current_setting('server_version') as "versionName",
      current_setting('server_encoding') as encoding, current_setting('transaction_read_only')::bool as "readOnly",
      pg_is_in_recovery() as standby`);
  const facts = rows[0];
  const problem = facts && serverProblem(facts);
  if (problem) throw new DatabaseUnusableError(`The database at ${describeTarget(url)} ${problem}`);
}

interface ServerFacts {
  readonly version: number;
  readonly versionName: string;
  readonly encoding: string;
  readonly readOnly: boolean;
  readonly standby: boolean;
}

/** What keeps Sluice from using a server, as the rest of a sentence that begins with the database; undefined when nothing does. */
export function serverProblem(facts: ServerFacts): string | undefined {
  if (facts.version < OLDEST_SERVER_VERSION) {
    return `runs PostgreSQL ${facts.versionName}: Sluice needs version 15 or newer.`;
  }
  if (facts.encoding !== 'UTF8') {
    return `has the encoding ${facts.encoding}: create it with encoding UTF8.`;
  }
  if (facts.standby) return 'is a read-only standby: point DATABASE_URL to the primary server.';
  if (facts.readOnly) {
    return 'is read-only: set default_transaction_read_only to off for this database and user.';
  }
  return undefined;
}

/**
 * Turns what went wrong with a database into a DatabaseUnusableError where the cause is known to lie outside the
 * program; gives any other error back as it is.
 */
export function explainDatabaseError(error: unknown, url: string): unknown {
  if (error instanceof DatabaseUnusableError) return error;
  const advice = adviceFor(error);
  if (advice === undefined) return error;
  return new DatabaseUnusableError(`The database at ${describeTarget(url)} ${advice}`, { cause: error });
}

/**
 * Does what a start needs the database for; that may go away in the very middle of a start.
 * @throws DatabaseUnusableError as explainDatabaseError makes it
 */
export async function explained<T>(url: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw explainDatabaseError(error, url);
  }
}

function adviceFor(error: unknown): string | undefined {
  const cause = rootCause(error);
  const said = cause instanceof Error ? cause.message.replaceAll(/\s+/g, ' ') : String(cause);
  switch (sqlState(error)) {
    case '28P01':
    case '28000':
      return `refused the user or password (${said}): check DATABASE_URL.`;
    case '3D000':
      return `does not exist (${said}): create it or check DATABASE_URL.`;
    case '25006':
      return `is read-only (${said}): point DATABASE_URL to a writable server.`;
    case '42501':
      return `does not let this user do what is needed (${said}): make the user its owner.`;
    case '53300':
      return `has no connection left (${said}): raise max_connections or stop other clients.`;
    case '57P01':
    case '57P02':
      return `is being stopped or restarted (${said}): try again when it runs.`;
    case STARTING_UP:
      return `does not accept connections yet (${said}): try again when it has started.`;
  }
  if (isConnectionError(cause)) {
    return `cannot be reached (${said || systemCode(cause)}): check that it runs and that DATABASE_URL is right.`;
  }
  return undefined;
}

function isConnectionError(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(isConnectionError);
  const code = systemCode(error);
  if (/^(E[A-Z_]+|ERR_SSL_.*|ERR_TLS_.*|[A-Z_]*CERT[A-Z_]*)$/.test(code)) return true;
  // The driver gives no code for these: a time-out, a connection that ended early, a server without TLS.
  return (
    error instanceof Error &&
    /^(timeout expired|Connection terminated|The server does not support SSL)/.test(error.message)
  );
}

function systemCode(error: unknown): string {
  if (error instanceof AggregateError) return systemCode(error.errors[0]);
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** Host, port and database of a connection URL, for messages; never its user or password. */
function describeTarget(url: string): string {
  try {
    const { host, pathname } = new URL(url);
    return `${host || 'the local socket'}${pathname}`;
  } catch {
    return 'DATABASE_URL';
  }
}
