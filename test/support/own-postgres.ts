import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { readPidFile } from '../../src/db/embedded/pid-file.ts';
import { startPostgres } from '../../src/db/embedded/start.ts';
import { waitFor } from './wait.ts';

const RESTART_MS = 60_000;
/** What is committed is kept whatever becomes of the server, as long as the machine goes on. */
const SETTINGS = { fsync: 'off', full_page_writes: 'off', shared_buffers: '64MB' };

/** A PostgreSQL of a test's own, with which it may do anything. */
export interface OwnPostgres {
  /** Connects as the superuser to its one database, which is empty. */
  readonly url: string;
  /** Ends it at once, in the middle of whatever it does, and waits until it has recovered under the same address. */
  crash(): Promise<void>;
  /** Stops it and starts a copy of all that it has, at another address. */
  moveToCopy(): Promise<OwnPostgres>;
  /** Stops it and removes all that it had. */
  stop(): Promise<void>;
}

/** Starts one. @param settings further ones of the server */
export async function startOwnPostgres(
  settings: Readonly<Record<string, string>> = {},
): Promise<OwnPostgres> {
  return await startIn(await createFolder(), settings);
}

async function createFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-own-postgres-'));
  // Started by root, PostgreSQL runs under another account, which has to get through.
  await chmod(folder, 0o711);
  return folder;
}

async function startIn(dataDir: string, settings: Readonly<Record<string, string>>): Promise<OwnPostgres> {
  // It says that the server has ended unasked, which is what a test does to it.
  const log = pino({ level: 'silent' });
  const postgres = await startPostgres({ dataDir, log, settings: { ...SETTINGS, ...settings } });
  const readPid = () => readPidFile(join(postgres.location, 'data'));
  const stop = async () => {
    await postgres.stop();
    await rm(postgres.location, { recursive: true, force: true });
    await rm(dataDir, { recursive: true, force: true });
  };
  return {
    url: postgres.url,
    stop,
    async crash() {
      const before = await readPid();
      if (before === undefined) throw new Error('the database does not run');
      process.kill(before.pid, 'SIGQUIT');
      await waitFor(
        async () => {
          const now = await readPid();
          return now !== undefined && now.pid !== before.pid && now.status === 'ready';
        },
        { timeout: RESTART_MS, what: 'the database' },
      );
    },
    async moveToCopy() {
      await postgres.stop();
      const copy = await createFolder();
      // As it is, with its owners.
      await promisify(execFile)('cp', ['-a', `${dataDir}/.`, copy]);
      await stop();
      return await startIn(copy, settings);
    },
  };
}
