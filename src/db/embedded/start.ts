import { open, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from 'pino';
import { type Binaries, prepareBinaries } from './binaries.ts';
import { DatabaseStartError } from './errors.ts';
import { ensureCluster } from './initialize.ts';
import { readPidFile } from './pid-file.ts';
import { findPlace, type Place } from './place.ts';
import { isPortTaken, LOOPBACK, pickFreePort } from './port.ts';
import { findRunning, isReady, launch, type Postmaster, stopPostmaster } from './postmaster.ts';
import { DATABASE_NAME, urlAt } from './running.ts';
import { supervise } from './supervise.ts';

const MAX_LAUNCHES = 10;
const ORPHAN_WAIT_MS = 500;

/** How our PostgreSQL is started. */
export interface StartPostgresOptions {
  /** The data folder: the database, its log and its password are kept in it. */
  readonly dataDir: string;
  readonly log: Logger;
  /** Ends the start; the promise is then rejected with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Further server settings, over the built-in ones. For tests. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Chooses the TCP port; a free one when not given. For tests. */
  readonly pickPort?: () => Promise<number>;
  /** The npm package with the programs; that of this platform when not given. For tests. */
  readonly packageFolder?: string;
}

/** A running PostgreSQL of our own. */
export interface RunningPostgres {
  /** Connects as the superuser to the database `sluice`. Holds the password. */
  readonly url: string;
  /** The folder that the database lives in: not always below the data folder, when root started it. */
  readonly location: string;
  /** Whether it was found running already, left behind by a process that was killed. */
  readonly adopted: boolean;
  /** Ends the server and waits until it has written everything; sessions still open are cut off. */
  stop(): Promise<void>;
}

/**
 * Starts our own PostgreSQL on a data folder, or takes over the one that is running there. On the first start
 * the database is made. It listens on the loopback address only and outlives this process unless stopped.
 *
 * The data folder must be held by `lockDataDir`: two processes that start on the same folder would share, and
 * stop, the same server.
 *
 * @throws DatabaseStartError with one line on what happened and where the log is
 */
export async function startPostgres(options: StartPostgresOptions): Promise<RunningPostgres> {
  const { dataDir, log, signal, settings = {}, packageFolder } = options;
  const found = await findPlace(dataDir, log);
  const binaries = await prepareBinaries({
    account: found.account,
    copyTo: found.location,
    log,
    ...(packageFolder === undefined ? {} : { packageFolder }),
  });
  const place = await ensureCluster(found, { binaries, sync: settings.fsync !== 'off', signal });
  const { postmaster, adopted } = await adoptOrLaunch(place, binaries, options);
  try {
    const url = await openDatabase(place);
    const { location } = place;
    log.info(
      { location, adopted, postmaster: postmaster.pid },
      `PostgreSQL ${adopted ? 'taken over' : 'started'}`,
    );
    const port = Number(new URL(url).port);
    const end = supervise({
      postmaster,
      log,
      relaunch: (stopping) => launchAt(port, { place, binaries, log, signal: stopping, settings }),
    });
    let stopped: Promise<void> | undefined;
    const stop = () => {
      stopped ??= end();
      return stopped;
    };
    return { url, location, adopted, stop };
  } catch (error) {
    await stopPostmaster(postmaster, log);
    throw error;
  }
}

interface Launched {
  readonly postmaster: Postmaster;
  readonly adopted: boolean;
}

async function adoptOrLaunch(
  place: Place,
  binaries: Binaries,
  options: StartPostgresOptions,
): Promise<Launched> {
  const { log, signal, settings = {}, pickPort = pickFreePort } = options;
  const running = await findRunning(place, log);
  if (running && (await isReady(place, running, signal))) return { postmaster: running, adopted: true };
  const wasCrashed = !running && (await readPidFile(place.cluster)) !== undefined;
  for (let attempt = 1; ; attempt += 1) {
    const port = await pickPort();
    try {
      const postmaster = await launchAt(port, { place, binaries, log, signal, settings });
      return { postmaster, adopted: false };
    } catch (error) {
      const mayPass = wasCrashed || (await isPortTaken(port));
      if (signal?.aborted || !mayPass || attempt >= MAX_LAUNCHES) throw error;
      // After a crash, children of the dead server may hold the folder for a moment; they notice and end.
      if (wasCrashed) await sleep(ORPHAN_WAIT_MS);
    }
  }
}

interface LaunchContext {
  readonly place: Place;
  readonly binaries: Binaries;
  readonly log: Logger;
  readonly signal: AbortSignal | undefined;
  readonly settings: Readonly<Record<string, string>>;
}

/** Starts a server on a port and waits until it is ready; one that is not wanted any more by then is ended. */
async function launchAt(port: number, context: LaunchContext): Promise<Postmaster> {
  const { place, binaries, log, signal } = context;
  signal?.throwIfAborted();
  const logEnd = await sizeOf(place.logFile);
  const settings = { ...SETTINGS, ...context.settings, port: String(port) };
  const postmaster = await launch(place, { program: binaries.postgres, settings });
  try {
    if (await isReady(place, postmaster, signal)) return postmaster;
  } catch (error) {
    await stopPostmaster(postmaster, log);
    throw error;
  }
  throw await startError(place, logEnd);
}

// Everything that makes it durable (fsync, synchronous_commit, full_page_writes, checksums) is PostgreSQL's default.
const SETTINGS = {
  listen_addresses: LOOPBACK,
  unix_socket_directories: '',
  ssl: 'off',
  shared_buffers: '256MB',
  max_connections: '100',
  // Short statements of many clients: a second process for one of them costs more than it gains.
  max_parallel_workers_per_gather: '0',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_destination: 'stderr',
  logging_collector: 'off',
  log_checkpoints: 'off',
};

/** How long a login is tried: just after a crash PostgreSQL may cut a connection that it has accepted. */
const LOGIN_MS = 10_000;
const LOGIN_PAUSE_MS = 100;

async function openDatabase(place: Place): Promise<string> {
  const deadline = performance.now() + LOGIN_MS;
  for (;;) {
    try {
      return await logIn(place);
    } catch (error) {
      const cause = error instanceof DatabaseStartError ? error.cause : undefined;
      const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
      if (code !== 'ECONNRESET' || performance.now() > deadline) throw error;
      await sleep(LOGIN_PAUSE_MS);
    }
  }
}

async function logIn(place: Place): Promise<string> {
  const file = await readPidFile(place.cluster);
  const urlOf = (database: string) => urlAt(place, file?.port, database);
  const client = new pg.Client({ connectionString: urlOf('postgres'), application_name: 'sluice start' });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE_NAME]);
    if (rowCount === 0) await client.query(`create database ${DATABASE_NAME}`);
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new DatabaseStartError(`Cannot log in to our PostgreSQL: ${said}. See ${place.logFile}.`, {
      cause,
    });
  } finally {
    await client.end().catch(() => {});
  }
  return urlOf(DATABASE_NAME);
}

async function startError(place: Place, logEnd: number): Promise<DatabaseStartError> {
  const lines = (await readFrom(place.logFile, logEnd)).trim().split('\n');
  const line = lines.findLast((text) => /(FATAL|PANIC): /.test(text)) ?? lines.at(-1) ?? '';
  const reason = line.replace(/^.*?(FATAL|PANIC): +/, '') || 'it ended without a word';
  return new DatabaseStartError(`PostgreSQL does not start: ${reason}. See ${place.logFile}.`);
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

async function readFrom(file: string, position: number): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    // A log that was too long has been renamed meanwhile: then all of the new one is of this start.
    const start = position <= size ? position : 0;
    if (size === start) return '';
    const { buffer, bytesRead } = await handle.read({
      buffer: Buffer.alloc(Math.min(size - start, 65_536)),
      position: start,
    });
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
