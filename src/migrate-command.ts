import type { Logger } from 'pino';
import type { Config } from './config.ts';
import { migrate } from './db/migrate.ts';

/** Brings the database of DATABASE_URL up to date. @returns the exit code */
export async function runMigrate(config: Config, createLog: (config: Config) => Logger): Promise<number> {
  if (config.databaseUrl === undefined) {
    process.stderr.write(
      'sluice: migrate needs DATABASE_URL; our own database is brought up to date by every start\n',
    );
    return 1;
  }
  await migrate({ url: config.databaseUrl, log: createLog(config) });
  return 0;
}
