import type { Logger } from 'pino';
import type { Config } from './config.ts';
import { DataDirLockedError, lockDataDir } from './db/embedded/data-dir-lock.ts';
import { urlOfRunning } from './db/embedded/running.ts';
import { startPostgres } from './db/embedded/start.ts';
import { migrate } from './db/migrate.ts';

/** What a command works with in the database. */
interface CommandDatabase {
  readonly config: Config;
  readonly log: Logger;
  /** Whether it may work beside a server that runs on our own database. */
  readonly besideServer: boolean;
}

/**
 * Opens the database that is configured, else our own, for as long as `work` takes, and brings it up to date. A server that
 * runs on our own database has done that already.
 * @param work is given the URL
 * @throws {DataDirLockedError} when a server runs on our own database, and it may not work beside one
 */
export async function withDatabase<T>(
  { config, log, besideServer }: CommandDatabase,
  work: (url: string) => Promise<T>,
): Promise<T> {
  const { databaseUrl, dataDir } = config;
  const workUpToDate = async (url: string) => {
    await migrate({ url, log });
    return await work(url);
  };
  if (databaseUrl !== undefined) return await workUpToDate(databaseUrl);
  let unlock: () => Promise<void>;
  try {
    unlock = await lockDataDir(dataDir);
  } catch (error) {
    const url = besideServer && error instanceof DataDirLockedError ? await urlOfRunning(dataDir, log) : null;
    if (url === null) throw error;
    return await work(url);
  }
  try {
    const postgres = await startPostgres({ dataDir, log });
    try {
      return await workUpToDate(postgres.url);
    } finally {
      await postgres.stop();
    }
  } finally {
    await unlock();
  }
}
