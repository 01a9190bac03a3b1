import { createHash, randomBytes } from 'node:crypto';
import { chown, mkdir, readFile, realpath, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { type Account, canEnter, chooseAccount } from './account.ts';
import { DatabaseStartError } from './errors.ts';

const STATE_FILE = 'postgres.json';
const OWNER_FILE = 'data-folder';
const OUTSIDE = '/var/lib';

const stateSchema = z.object({
  /** Relative to the data folder where it lies inside. */
  location: z.string(),
  password: z.string(),
  /** Whether the database was ever complete: from then on a missing one is a loss, not a first start. */
  initialized: z.boolean().default(false),
  /** The postmaster last started, with what `processStart` says of it. */
  postmaster: z.object({ pid: z.number(), started: z.string() }).optional(),
});

/** What is kept in the data folder about our database. */
export type PlaceState = z.infer<typeof stateSchema>;

/** Where our database lives and who runs it. */
export interface Place {
  /** The data folder, without symbolic links in its path. */
  readonly dataDir: string;
  /** The folder that holds the database folder and, where needed, a copy of the programs. */
  readonly location: string;
  /** The database folder itself. */
  readonly cluster: string;
  readonly logFile: string;
  readonly account: Account | undefined;
  readonly state: PlaceState;
}

/**
 * Finds where the database of a data folder lives, or decides it on the first start: below the data folder if
 * the account that runs PostgreSQL can reach that, else in a folder of its own below /var/lib. Both are open to
 * that account alone. The decision and a new password are kept in the data folder, readable by its owner only.
 *
 * @throws DatabaseStartError when what is there does not fit together
 */
export async function findPlace(dataDir: string, log: Logger): Promise<Place> {
  const isRoot = process.getuid?.() === 0;
  // Run by root, PostgreSQL has another account: it has to get through the folder, but not to list it.
  await mkdir(dataDir, { recursive: true, mode: isRoot ? 0o711 : 0o700 });
  const folder = await realpath(dataDir);
  const known = await readState(folder);
  const place = known ? await knownPlace(folder, known) : await newPlace(folder, log);
  await claimLocation(place);
  return place;
}

/** Keeps a change to what the data folder says about the database. */
export async function saveState(place: Place, change: Partial<PlaceState>): Promise<Place> {
  const state = { ...place.state, ...change };
  const file = join(place.dataDir, STATE_FILE);
  await writeFile(`${file}.tmp`, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600, flush: true });
  // Root may have started on the folder of a user, who will start on it again.
  const { uid, gid } = await stat(place.dataDir);
  if (process.getuid?.() === 0) await chown(`${file}.tmp`, uid, gid);
  await rename(`${file}.tmp`, file);
  return { ...place, state };
}

async function newPlace(dataDir: string, log: Logger): Promise<Place> {
  const account = await chooseAccount(dataDir);
  const inside = !account || (await canEnter(account, dataDir));
  const hash = createHash('sha256').update(dataDir).digest('hex').slice(0, 12);
  const location = inside ? join(dataDir, 'postgres') : join(OUTSIDE, `sluice-${hash}`);
  if (await isThere(join(location, 'data'))) {
    throw new DatabaseStartError(
      `There is a database in ${location}, but its password file ${join(dataDir, STATE_FILE)} is gone: restore that file, or move the database away.`,
    );
  }
  if (!inside)
    log.warn({ dataDir, location }, `the database lives in ${location}: ${dataDir} is closed to it`);
  const state = {
    location: inside ? 'postgres' : location,
    password: randomBytes(24).toString('base64url'),
    initialized: false,
  };
  await makeLocation(location, account);
  return saveState(toPlace(dataDir, state, account), {});
}

async function makeLocation(location: string, account: Account | undefined): Promise<void> {
  try {
    await mkdir(location, { recursive: true, mode: 0o700 });
    if (account) await chown(location, account.uid, account.gid);
  } catch (cause) {
    throw new DatabaseStartError(`Cannot make the database folder ${location}: ${messageOf(cause)}.`, {
      cause,
    });
  }
}

async function knownPlace(dataDir: string, state: PlaceState): Promise<Place> {
  const location = resolve(dataDir, state.location);
  const owner = await stat(location).catch(() => undefined);
  const isLost = state.initialized && !(await isThere(join(location, 'data')));
  if (isLost && owner && process.getuid?.() !== 0 && owner.uid !== process.getuid?.()) {
    throw new DatabaseStartError(
      `The database in ${location} belongs to user ${owner.uid} and this is user ${process.getuid?.()}: start Sluice as the user who made it.`,
    );
  }
  if (isLost) {
    throw new DatabaseStartError(
      `The database of ${dataDir} is not in ${location} any more: restore it, or delete ${join(dataDir, STATE_FILE)} to begin with an empty one.`,
    );
  }
  const isRoot = process.getuid?.() === 0;
  if (!owner) {
    const account = await chooseAccount(dataDir);
    await makeLocation(location, account);
    return toPlace(dataDir, state, account);
  }
  return toPlace(dataDir, state, isRoot ? { uid: owner.uid, gid: owner.gid } : undefined);
}

function toPlace(dataDir: string, state: PlaceState, account: Account | undefined): Place {
  const location = resolve(dataDir, state.location);
  return {
    dataDir,
    location,
    cluster: join(location, 'data'),
    logFile: join(dataDir, 'postgres.log'),
    account,
    state,
  };
}

/** A copied data folder names the database folder of the original: two servers must not share it unknowingly. */
async function claimLocation({ dataDir, location }: Place): Promise<void> {
  if (dirname(location) === dataDir) return;
  const file = join(location, OWNER_FILE);
  const owner = await readFile(file, 'utf8').catch(() => dataDir);
  const isCopy = owner !== dataDir && (await readState(owner).catch(() => undefined))?.location === location;
  if (isCopy) {
    throw new DatabaseStartError(
      `${dataDir} is a copy of ${owner}, whose database in ${location} it would share: delete ${join(dataDir, STATE_FILE)} to begin with an empty database.`,
    );
  }
  await writeFile(file, dataDir, { mode: 0o600 });
}

async function readState(dataDir: string): Promise<PlaceState | undefined> {
  const file = join(dataDir, STATE_FILE);
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new DatabaseStartError(`Cannot read ${file}: ${messageOf(error)}.`, { cause: error });
  });
  if (text === undefined) return undefined;
  try {
    return stateSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new DatabaseStartError(`${file} is damaged: restore it from a backup.`, { cause });
  }
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
