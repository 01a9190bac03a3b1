import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type Logger, pino } from 'pino';
import type { TestProject } from 'vitest/node';
import { type RunningPostgres, startPostgres } from '../../src/db/embedded/start.ts';
import { migrate } from '../../src/db/migrate.ts';
import { TEMPLATE_DATABASE } from './database.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Connects as the superuser to the one PostgreSQL of the whole test run. */
    databaseUrl: string;
  }
}

// What a test database holds is gone after the run: nothing has to reach the disk.
const FAST_SETTINGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  shared_buffers: '128MB',
  max_connections: '300',
  autovacuum_naptime: '10min',
};

const FOLDER_PREFIX = 'sluice-test-run-';

/** Starts one PostgreSQL for the whole run, with a migrated template database, and ends it with the run. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const log = pino({ level: 'error' });
  await removeLeftovers(log);
  const dataDir = await mkdtemp(join(tmpdir(), `${FOLDER_PREFIX}${process.pid}-`));
  // Started by root, PostgreSQL runs under another account, which has to get through.
  await chmod(dataDir, 0o711);
  const postgres = await startPostgres({ dataDir, log, settings: FAST_SETTINGS });
  const stopOnSignal = stopAtInterruption(postgres);
  const teardown = async () => {
    stopOnSignal.dispose();
    await postgres.stop();
    await rm(postgres.location, { recursive: true, force: true });
    await rm(dataDir, { recursive: true, force: true });
  };
  try {
    await makeTemplate(postgres.url);
    await migrate({ url: urlOfTemplate(postgres.url), log });
  } catch (error) {
    await teardown();
    throw error;
  }
  project.provide('databaseUrl', postgres.url);
  return teardown;
}

async function makeTemplate(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`create database ${TEMPLATE_DATABASE}`);
  } finally {
    await client.end();
  }
}

function urlOfTemplate(url: string): string {
  const template = new URL(url);
  template.pathname = `/${TEMPLATE_DATABASE}`;
  return template.href;
}

/** PostgreSQL is in a session of its own: a run that is interrupted has to end it. */
function stopAtInterruption(postgres: RunningPostgres): { dispose(): void } {
  const ends = ['SIGINT', 'SIGTERM', 'SIGHUP', 'exit'] as const;
  // The request to stop is sent before stop() waits for anything, so that it works while the process exits, too.
  const stop = () => void postgres.stop();
  for (const name of ends) process.once(name, stop);
  return {
    dispose: () => {
      for (const name of ends) process.off(name, stop);
    },
  };
}

/** A run that was killed leaves its PostgreSQL behind: takes it over and ends it. */
async function removeLeftovers(log: Logger): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = Number(new RegExp(`^${FOLDER_PREFIX}(\\d+)-`).exec(name)?.[1]);
    if (Number.isNaN(pid) || isAlive(pid)) continue;
    const dataDir = join(tmpdir(), name);
    await startPostgres({ dataDir, log, settings: FAST_SETTINGS })
      .then((postgres) => postgres.stop())
      .catch((error: unknown) => log.warn({ err: error }, `cannot take over what is in ${dataDir}`));
    await rm(dataDir, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
