import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type FileHandle, open, rename, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { asAccount } from './account.ts';
import { POSTGRES_ENVIRONMENT } from './initialize.ts';
import { disownPidFile, readPidFile } from './pid-file.ts';
import { type Place, saveState } from './place.ts';
import { isPostmaster, processStart } from './processes.ts';

const POLL_MS = 10;
const LOG_MAX_BYTES = 10_000_000;
const FAST_STOP_MS = 60_000;
const IMMEDIATE_STOP_MS = 10_000;

/** A running PostgreSQL server. */
export interface Postmaster {
  readonly pid: number;
  /** Whether the process is still there. */
  isAlive(): Promise<boolean>;
  /** Sends a signal to this very process; to none when it is gone. */
  signal(name: NodeJS.Signals): Promise<void>;
}

/** What a server is started with. */
export interface LaunchOptions {
  readonly program: string;
  readonly settings: Readonly<Record<string, string>>;
}

/**
 * Finds the server that an earlier process of ours left running on this database folder. A postmaster.pid whose
 * pid has become somebody else's is put right on the way; that process is left alone.
 *
 * @returns undefined when none runs
 */
export async function findRunning(place: Place, log: Logger): Promise<Postmaster | undefined> {
  const file = await readPidFile(place.cluster);
  if (!file || !Number.isSafeInteger(file.pid) || file.pid <= 0) return undefined;
  const noted = place.state.postmaster;
  const started = noted?.pid === file.pid ? noted.started : undefined;
  const claim = { pid: file.pid, folder: place.cluster, startedAt: file.startedAt, started };
  if (await isPostmaster(claim)) return foundPostmaster(claim);
  if ((await processStart(file.pid)) !== undefined) {
    log.warn(
      { pid: file.pid },
      'postmaster.pid names a process that is not our database; leaving that one alone',
    );
    await disownPidFile(place.cluster);
  }
  return undefined;
}

async function foundPostmaster(claim: Parameters<typeof isPostmaster>[0]): Promise<Postmaster> {
  const started = await processStart(claim.pid);
  const known = { ...claim, started };
  return {
    pid: claim.pid,
    isAlive: async () => (await processStart(claim.pid)) === started && started !== undefined,
    signal: async (name) => {
      if (await isPostmaster(known)) process.kill(claim.pid, name);
    },
  };
}

/**
 * Starts a server on the database folder, as the leader of a session of its own, so that Ctrl-C in a terminal
 * does not reach it. Its output goes to the log file. It is noted in the data folder, for the next process that
 * finds it running.
 */
export async function launch(place: Place, options: LaunchOptions): Promise<Postmaster> {
  const log = await openLog(place);
  try {
    const child = spawn(options.program, ['-D', place.cluster, ...toArguments(options.settings)], {
      cwd: '/',
      env: POSTGRES_ENVIRONMENT,
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      ...asAccount(place.account),
    });
    await once(child, 'spawn');
    child.unref();
    return await ownPostmaster(place, child);
  } finally {
    await log.close();
  }
}

async function ownPostmaster(place: Place, child: ChildProcess): Promise<Postmaster> {
  const { pid } = child;
  if (pid === undefined) throw new Error('a process that was spawned has no pid');
  const started = await processStart(pid);
  if (started !== undefined) await saveState(place, { postmaster: { pid, started } });
  return {
    pid,
    isAlive: async () => child.exitCode === null && child.signalCode === null,
    signal: async (name) => {
      child.kill(name);
    },
  };
}

function toArguments(settings: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

async function openLog({ dataDir, logFile }: Place): Promise<FileHandle> {
  const { size } = await stat(logFile).catch(() => ({ size: 0 }));
  if (size > LOG_MAX_BYTES) await rename(logFile, `${logFile}.1`);
  const handle = await open(logFile, 'a', 0o600);
  const { uid, gid } = await stat(dataDir);
  if (process.getuid?.() === 0) await handle.chown(uid, gid);
  return handle;
}

/**
 * Waits until the server accepts connections. Recovery after a crash may take minutes and is waited for.
 *
 * @returns false when the process ended instead
 */
export async function isReady(place: Place, postmaster: Postmaster, signal?: AbortSignal): Promise<boolean> {
  while (await postmaster.isAlive()) {
    signal?.throwIfAborted();
    const file = await readPidFile(place.cluster);
    if (file?.pid === postmaster.pid && file.status === 'ready') return true;
    await sleep(POLL_MS);
  }
  return false;
}

/** Ends a server: fast (sessions are cut off, everything is written), and after a minute at once. */
export async function stopPostmaster(postmaster: Postmaster, log: Logger): Promise<void> {
  await postmaster.signal('SIGINT');
  if (await isGone(postmaster, FAST_STOP_MS)) return;
  log.warn(
    { postmaster: postmaster.pid },
    'the database does not stop; ending it at once, it will recover at its next start',
  );
  await postmaster.signal('SIGQUIT');
  if (await isGone(postmaster, IMMEDIATE_STOP_MS)) return;
  log.error({ postmaster: postmaster.pid }, 'the database does not stop');
}

async function isGone(postmaster: Postmaster, patienceMs: number): Promise<boolean> {
  for (const deadline = Date.now() + patienceMs; Date.now() < deadline; ) {
    if (!(await postmaster.isAlive())) return true;
    await sleep(POLL_MS);
  }
  return false;
}
