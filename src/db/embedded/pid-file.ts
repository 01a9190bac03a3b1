import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

// No system gives out a pid this high: Linux ends at 4,194,304, macOS at 99,999.
const NOBODYS_PID = 2_147_483_647;

/** What postmaster.pid says; PostgreSQL's source describes it in src/include/utils/pidfile.h. */
export interface PidFile {
  readonly pid: number;
  /** In seconds since 1970. */
  readonly startedAt: number;
  readonly port: number;
  /** `starting`, `stopping`, `ready` or `standby`; empty while the file is being written. */
  readonly status: string;
}

/** Reads the postmaster.pid of a database folder; undefined when there is none. */
export async function readPidFile(cluster: string): Promise<PidFile | undefined> {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const lines = text.split('\n');
  return {
    pid: Number(lines[0]),
    startedAt: Number(lines[2]),
    port: Number(lines[3]),
    status: lines[7]?.trim() ?? '',
  };
}

/**
 * Takes the pid out of a postmaster.pid whose pid a stranger has now: PostgreSQL would not start as long as any
 * process with that pid lives. The rest of the file stays, because by it PostgreSQL still finds out whether
 * orphaned children of the old server are using the folder; deleting it would end that protection.
 */
export async function disownPidFile(cluster: string): Promise<void> {
  const file = join(cluster, 'postmaster.pid');
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace(/^-?\d+/, String(NOBODYS_PID)));
}
