import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import pg from 'pg';
import type { Logger } from 'pino';
import { keepNamed } from './named-statements.ts';
import { relations } from './relations.ts';

/** The typed query builder over a pool of connections. */
export type Database = NodePgDatabase<typeof relations> & { readonly $client: pg.Pool };

/** What a function handed to `transaction` works with. */
export type Transaction = Parameters<Parameters<Database['transaction']>[0]>[0];

/** How the pool connects; times in milliseconds. */
export interface DatabaseOptions {
  readonly url: string;
  readonly log: Logger;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** The most connections at once; 10 when not given. */
  readonly max?: number;
  /** Postgres ends a statement that runs for longer; no limit when not given. */
  readonly statementTimeoutMs?: number;
  /** How long a query waits for a connection, a new one or a free one of the pool; 5,000 when not given. */
  readonly connectTimeoutMs?: number;
  /**
   * A connection that has not answered a statement after this long counts as lost; when not given, two seconds more than
   * Postgres lets it run, or a minute.
   */
  readonly answerTimeoutMs?: number;
}

const ANSWER_MS = 60_000;
/** How long connections may take to close before they are cut: one that went silent never closes politely. */
const CLOSE_MS = 4_000;

/** An open pool and the query builder over it. */
export interface DatabaseClient {
  readonly pool: pg.Pool;
  readonly db: Database;
  /**
   * Waits for running queries, four seconds at most, then closes all connections. Calling it again gives the same
   * promise.
   */
  close(): Promise<void>;
}

/**
 * Opens a pool of connections to Postgres with the query builder over it. Connects with the first query, so it
 * never fails itself. A connection that breaks, idle or in use, costs the query that used it and nothing else.
 */
export function createDatabase(options: DatabaseOptions): DatabaseClient {
  const { url, log, applicationName, max = 10, statementTimeoutMs, connectTimeoutMs = 5000 } = options;
  const { answerTimeoutMs = statementTimeoutMs === undefined ? ANSWER_MS : statementTimeoutMs + 2000 } =
    options;
  const sockets = new Set<Socket>();
  const pool = new pg.Pool({
    connectionString: url,
    application_name: applicationName,
    max,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: answerTimeoutMs,
    stream: () => openSocket(sockets),
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    ...(statementTimeoutMs === undefined ? {} : { statement_timeout: statementTimeoutMs }),
  });
  keepNamed(pool, log);
  let closing: Promise<void> | undefined;
  // The pool counts as closed before its connections are: what becomes of them then is nobody's business.
  const onError = (error: Error) => {
    if (closing === undefined) log.warn({ err: error }, 'a database connection was lost');
  };
  // The pool listens to idle clients only; without a listener of its own, a client that breaks while it is
  // checked out ends the process.
  pool.on('connect', (client) => client.on('error', onError));
  pool.on('error', () => {});
  return {
    pool,
    db: drizzle({ client: pool, relations }),
    close: () => {
      closing ??= closeWithin(pool, sockets);
      return closing;
    },
  };
}

/** Ours, so that it can be cut off. */
function openSocket(sockets: Set<Socket>): Socket {
  const socket = new Socket();
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
  return socket;
}

async function closeWithin(pool: pg.Pool, sockets: ReadonlySet<Socket>): Promise<void> {
  const closed = new AbortController();
  const late = delay(CLOSE_MS, undefined, { signal: closed.signal }).then(
    () => {
      for (const socket of sockets) socket.destroy();
    },
    () => {},
  );
  await pool.end();
  closed.abort();
  await late;
}
