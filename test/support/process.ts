import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { DATABASE_USER } from '../../src/db/embedded/initialize.ts';
import { readPidFile } from '../../src/db/embedded/pid-file.ts';
import { processStart } from '../../src/db/embedded/processes.ts';
import { startPostgres } from '../../src/db/embedded/start.ts';
import { waitFor } from './wait.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const START_MS = 120_000;

/** How a process ended, and all that it said. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The program, running as a process of its own. */
export interface SluiceProcess {
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** Settles when it has ended and its output has been read. */
  readonly ended: Promise<Ended>;
  /** Sends a signal and waits for the end. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<Ended>;
}

type Settings = Readonly<Record<string, string>>;

/**
 * Starts `node dist/main.js` with these settings and nothing else of the environment that could set it up. Whatever
 * still runs when the test is over is ended.
 */
export function runSluice(settings: Settings, args: readonly string[] = []): SluiceProcess {
  const child = spawn(process.execPath, ['dist/main.js', ...args], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('node could not be started');
  const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)];
  const ended = once(child, 'close').then(
    ([code, signal]): Ended => ({ code, signal, stdout: stdout(), stderr: stderr() }),
  );
  onTestFinished(() => endGently(child, ended));
  return {
    pid,
    stdout,
    stderr,
    ended,
    async end(signal) {
      child.kill(signal);
      return await ended;
    },
  };
}

function textOf(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return () => text;
}

/** A test that failed has left it running: it gets the chance to end its database. */
async function endGently(child: ChildProcess, ended: Promise<Ended>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
  await ended;
  clearTimeout(timer);
}

/** A server that is ready for requests. */
export interface RunningServer extends SluiceProcess {
  readonly url: string;
}

/**
 * Starts the program and waits until `/health/ready` answers 200.
 * @throws Error with what it said, when it ends instead
 */
export async function startServer(settings: Settings): Promise<RunningServer> {
  const server = runSluice(settings);
  let ended = false;
  void server.ended.then(() => {
    ended = true;
  });
  const url = await waitFor(
    async () => {
      if (ended) throw new Error(`the server ended: ${server.stderr()}`);
      const found = /"url":"([^"]+)","msg":"Sluice is ready"/.exec(server.stderr())?.[1];
      return found !== undefined && (await fetch(`${found}/health/ready`)).ok && found;
    },
    { timeout: START_MS, what: 'the server' },
  );
  return { ...server, url };
}

/** A data folder that is removed after the test, with whatever database may still run in it. */
export async function createDataDir(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-process-'));
  // Started by root, PostgreSQL runs under another account, which has to get through.
  await chmod(dataDir, 0o711);
  onTestFinished(async () => {
    const log = pino({ level: 'silent' });
    if (await readFile(join(dataDir, 'postgres.json')).catch(() => null)) {
      const postgres = await startPostgres({ dataDir, log });
      await postgres.stop();
      await rm(postgres.location, { recursive: true, force: true });
    }
    await rm(dataDir, { recursive: true, force: true });
  });
  return dataDir;
}

/** The database that a server keeps in its data folder. */
export interface EmbeddedDatabase {
  readonly url: string;
  /** Of its first process. */
  readonly pid: number;
}

/** Finds the database that runs in a data folder, as the folder tells of it. */
export async function findEmbeddedDatabase(dataDir: string): Promise<EmbeddedDatabase> {
  const { location, password } = JSON.parse(await readFile(join(dataDir, 'postgres.json'), 'utf8'));
  const file = await readPidFile(join(resolve(dataDir, location), 'data'));
  if (file === undefined) throw new Error(`no database runs in ${dataDir}`);
  return { pid: file.pid, url: `postgresql://${DATABASE_USER}:${password}@127.0.0.1:${file.port}/sluice` };
}

/** One process among all that ever had its pid. */
export interface KnownProcess {
  readonly pid: number;
  readonly started: string;
}

/** The processes that a process has started, and theirs, and so on. */
export async function descendantsOf(pid: number): Promise<readonly KnownProcess[]> {
  const parents = await parentsByPid();
  const pids = [pid];
  for (const ancestor of pids) {
    for (const [child, parent] of parents) if (parent === ancestor) pids.push(child);
  }
  const known = pids.slice(1).map(async (child) => ({ pid: child, started: await processStart(child) }));
  return (await Promise.all(known)).flatMap(({ pid: child, started }) =>
    started === undefined ? [] : [{ pid: child, started }],
  );
}

/** Those of the processes that are still there. */
export async function aliveOf(processes: readonly KnownProcess[]): Promise<readonly KnownProcess[]> {
  const starts = await Promise.all(processes.map(({ pid }) => processStart(pid)));
  return processes.filter(({ started }, index) => starts[index] === started);
}

async function parentsByPid(): Promise<ReadonlyMap<number, number>> {
  if (process.platform !== 'linux') {
    const { stdout } = await promisify(execFile)('/bin/ps', ['-A', '-o', 'pid=,ppid=']);
    return new Map(
      [...stdout.matchAll(/(\d+)\s+(\d+)/g)].map(([, pid, ppid]) => [Number(pid), Number(ppid)]),
    );
  }
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const stats = pids.map(async (pid) => {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    // proc_pid_stat(5): behind the name in parentheses come the state and the parent's pid.
    return [Number(pid), Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1])] as const;
  });
  return new Map(await Promise.all(stats));
}
