import { spawn } from 'node:child_process';
import { chown, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asAccount } from './account.ts';
import type { Binaries } from './binaries.ts';
import { DatabaseStartError } from './errors.ts';
import { type Place, saveState } from './place.ts';

/** The database's superuser, and the only user there is. */
export const DATABASE_USER = 'sluice';

/** The whole environment of PostgreSQL's programs: nothing of ours, so that no secret reaches them. */
export const POSTGRES_ENVIRONMENT = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' } as const;

/** What initializing needs besides the place. */
export interface InitializeOptions {
  readonly binaries: Binaries;
  /** Whether to wait until everything has reached the disk. */
  readonly sync: boolean;
  readonly signal: AbortSignal | undefined;
}

/**
 * Makes the database folder if it is not there: UTF-8, sorted by code point, log-in by password (scram-sha-256)
 * only. It appears under its name when it is complete, so that a first start that was cut short starts afresh.
 *
 * @throws DatabaseStartError when initdb fails, or when an older or newer PostgreSQL made the folder
 */
export async function ensureCluster(place: Place, options: InitializeOptions): Promise<Place> {
  const made = await clusterVersion(place);
  const { majorVersion } = options.binaries;
  if (made === undefined) {
    await initialize(place, options);
  } else if (made !== majorVersion) {
    throw new DatabaseStartError(
      `The database in ${place.cluster} was made by PostgreSQL ${made}, but ${majorVersion} is installed: install the version of Sluice that made it, and move the data with a dump.`,
    );
  }
  return place.state.initialized ? place : saveState(place, { initialized: true });
}

async function clusterVersion(place: Place): Promise<number | undefined> {
  const isThere = await stat(place.cluster).catch(() => undefined);
  if (!isThere) return undefined;
  return Number.parseInt(await readFile(join(place.cluster, 'PG_VERSION'), 'utf8'), 10);
}

async function initialize(place: Place, { binaries, sync, signal }: InitializeOptions): Promise<void> {
  const unfinished = join(place.location, 'data.tmp');
  const passwordFile = join(place.location, 'password.tmp');
  await rm(unfinished, { recursive: true, force: true });
  await rm(passwordFile, { force: true });
  try {
    await writeFile(passwordFile, `${place.state.password}\n`, { mode: 0o600, flag: 'wx' });
    if (place.account) await chown(passwordFile, place.account.uid, place.account.gid);
    await runInitdb(place, [binaries.initdb, ...initdbArguments(unfinished, passwordFile, sync)], signal);
    await rename(unfinished, place.cluster);
  } finally {
    await rm(passwordFile, { force: true });
  }
}

function initdbArguments(folder: string, passwordFile: string, sync: boolean): readonly string[] {
  return [
    `--pgdata=${folder}`,
    '--encoding=UTF8',
    '--locale=C',
    // Sorts as the C locale does, and knows upper and lower case beyond ASCII.
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    `--username=${DATABASE_USER}`,
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    '--no-instructions',
    ...(sync ? [] : ['--no-sync']),
  ];
}

async function runInitdb(place: Place, command: readonly string[], signal?: AbortSignal): Promise<void> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    cwd: '/',
    env: POSTGRES_ENVIRONMENT,
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(signal ? { signal } : {}),
    ...asAccount(place.account),
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4000);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  if (code === 0) return;
  const reason =
    said
      .trim()
      .split('\n')[0]
      ?.replace(/^initdb: (error: )?/, '') || `initdb ended with code ${code}`;
  throw new DatabaseStartError(`Cannot make the database in ${place.location}: ${reason}`);
}
