import type { Logger } from 'pino';
import { DATABASE_USER } from './initialize.ts';
import { readPidFile } from './pid-file.ts';
import { findPlace, type Place } from './place.ts';
import { LOOPBACK } from './port.ts';

/** Our tables are in it. */
export const DATABASE_NAME = 'sluice';

/** How a database of our PostgreSQL is reached on a port, as the superuser. Holds the password. */
export function urlAt(place: Place, port: number | undefined, database: string): string {
  return `postgresql://${DATABASE_USER}:${place.state.password}@${LOOPBACK}:${port}/${database}`;
}

/**
 * Finds our PostgreSQL of a data folder that another process holds and runs it for.
 * @returns the URL of its database; null when it is not ready
 */
export async function urlOfRunning(dataDir: string, log: Logger): Promise<string | null> {
  const place = await findPlace(dataDir, log);
  const file = await readPidFile(place.cluster);
  return file?.status === 'ready' ? urlAt(place, file.port, DATABASE_NAME) : null;
}
