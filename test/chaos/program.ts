import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = resolve(import.meta.dirname, '../..');
const ERROR_LEVEL = 50;
const STOP_MS = 40_000;

export type Role = 'api' | 'worker';

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A Sluice that runs as a process of its own. */
export interface Program {
  readonly name: string;
  readonly role: Role;
  readonly pid: number;
  /** Where its API listens, once it is ready; a worker has none. */
  url(): string | null;
  isReady(): boolean;
  /** Also when it has ended since. */
  wasReady(): boolean;
  hasEnded(): boolean;
  /** Settles when it has ended and its log has been read. */
  readonly ended: Promise<Ended>;
  /** What it said on stderr that is no line of its log, and lines of the level error or above. */
  readonly complaints: readonly string[];
  /** Messages of its log that were said so far, with how often. */
  readonly said: ReadonlyMap<string, number>;
  signal(name: NodeJS.Signals): void;
  /** Asks it to stop, and ends it when it does not. */
  stop(): Promise<Ended>;
}

interface ProgramOptions {
  readonly name: string;
  readonly role: Role;
  readonly settings: Readonly<Record<string, string>>;
  /** A folder for its log, `<name>.log`. */
  readonly logs: string;
}

/** Starts `node dist/main.js <role>` with these settings and nothing else of the environment that could set it up. */
export function startProgram({ name, role, settings, logs }: ProgramOptions): Program {
  const child = spawn(process.execPath, ['dist/main.js', role], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...settings },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('node could not be started');
  const complaints: string[] = [];
  const said = new Map<string, number>();
  const state = { isReady: false, url: null as string | null, hasEnded: false };
  const log = createWriteStream(join(logs, `${name}.log`));
  createInterface({ input: child.stderr }).on('line', (text) => {
    log.write(`${text}\n`);
    const line = parse(text);
    if (line === null) return void complaints.push(text);
    said.set(line.msg, (said.get(line.msg) ?? 0) + 1);
    if (line.level >= ERROR_LEVEL)
      complaints.push(line.err === undefined ? line.msg : `${line.msg}: ${line.err.message}`);
    if (line.msg !== 'Sluice is ready' && line.msg !== 'the worker is ready') return;
    state.url = line.url ?? null;
    state.isReady = true;
  });
  const ended = once(child, 'close').then(([code, signal]): Ended => {
    state.hasEnded = true;
    log.end();
    return { code, signal };
  });
  return {
    name,
    role,
    pid,
    url: () => state.url,
    isReady: () => state.isReady && !state.hasEnded,
    wasReady: () => state.isReady,
    hasEnded: () => state.hasEnded,
    ended,
    complaints,
    said,
    signal: (signal) => void child.kill(signal),
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      return await ended.finally(() => clearTimeout(timer));
    },
  };
}

interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly url?: string;
  readonly err?: { readonly message: string };
}

/** A line of the log; null for anything else. */
function parse(text: string): LogLine | null {
  try {
    const line = JSON.parse(text);
    return typeof line?.msg === 'string' ? line : null;
  } catch {
    return null;
  }
}
