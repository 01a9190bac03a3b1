import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import {
  type RunningPostgres,
  type StartPostgresOptions,
  startPostgres,
} from '../../../src/db/embedded/start.ts';

export const silent = pino({ level: 'silent' });

/** Small, and without waiting for the disk: many servers start and end in these tests. */
export const LIGHT_SETTINGS = { fsync: 'off', shared_buffers: '16MB', max_connections: '20' };

export const isRoot = process.getuid?.() === 0;

/** A folder that is removed after the test; other accounts may enter it unless its mode says otherwise. */
export async function createFolder(mode = 0o711): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-embedded-'));
  await chmod(folder, mode);
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a server that is stopped after the test. */
export async function start(options: Omit<StartPostgresOptions, 'log'>): Promise<RunningPostgres> {
  const postgres = await startPostgres({ log: silent, settings: LIGHT_SETTINGS, ...options });
  onTestFinished(() => postgres.stop());
  return postgres;
}

/** Runs one statement over a connection of its own and gives its rows. */
export async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

/** A Node process that runs a module's text with the built program at hand and prints one line of JSON. */
export interface NodeChild {
  readonly process: ChildProcess;
  readonly output: unknown;
}

/** Starts `script` in a Node process of its own and waits for the line of JSON that it prints. */
export async function runNode(script: string, ...args: readonly string[]): Promise<NodeChild> {
  const root = fileURLToPath(new URL('../../..', import.meta.url));
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script, ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [line] = await once(createInterface(child.stdout), 'line');
  return { process: child, output: JSON.parse(String(line)) };
}

/** Kills a process that the test started, and waits until it is gone. */
export async function killHard(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
