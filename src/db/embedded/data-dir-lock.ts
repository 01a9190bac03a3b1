import { createHash, randomUUID } from 'node:crypto';
import { link, mkdir, readFile, realpath, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { DatabaseStartError } from './errors.ts';
import { processSpace, processStart } from './processes.ts';

const LOCK_FILE = 'sluice.lock';
const REFRESH_MS = 3000;
// A holder that cannot be looked up by its pid counts as dead when its file was not touched for this long.
const STALE_MS = 4 * REFRESH_MS;
const POLL_MS = 100;
const UNWRITTEN_MS = 2000;

/** Thrown when another Sluice process uses the data folder. */
export class DataDirLockedError extends Error {
  override readonly name = 'DataDirLockedError';
  readonly pid: number;

  constructor(dataDir: string, pid: number) {
    super(
      `The data folder ${dataDir} is in use by another Sluice process (pid ${pid}): stop that one first, or set SLUICE_DATA_DIR to a folder of its own.`,
    );
    this.pid = pid;
  }
}

const holderSchema = z.object({ pid: z.number(), started: z.string(), space: z.string() });
type Holder = z.infer<typeof holderSchema>;

/**
 * Holds a data folder for this process, making the folder if it is missing. The lock of a process that was
 * killed is taken over: pid and start time in the lock file tell a dead holder from a live one, and in another
 * container, where pids mean nothing, whether it still touches the file (every 3 seconds).
 *
 * @returns what releases the lock
 * @throws DataDirLockedError when another live process, or this one, holds it
 * @throws DatabaseStartError when there can be no such folder
 */
export async function lockDataDir(dataDir: string): Promise<() => Promise<void>> {
  const folder = await makeFolder(dataDir);
  const file = join(folder, LOCK_FILE);
  const self: Holder = {
    pid: process.pid,
    started: (await processStart(process.pid)) ?? '',
    space: await processSpace(),
  };
  const text = JSON.stringify(self);
  while (!(await isCreated(file, text))) {
    const found = await readLock(file);
    if (found === undefined) continue;
    const holder = parseHolder(found);
    if (holder && (await isLive(file, holder, self))) throw new DataDirLockedError(folder, holder.pid);
    // Without a holder in it, it is either being written this moment, or its writer died doing it.
    if (!holder && (await isTouched(file, UNWRITTEN_MS))) continue;
    await removeDead(file, found, self);
  }
  return keep(file, text);
}

/**
 * Removes a lock file for good whose writer is dead, if it still says what was read. Only whoever has made a further file, named
 * after that text, may do so: another process may have removed it meanwhile, and made its own new lock. Waits a moment and
 * leaves it where another process is at that.
 */
async function removeDead(file: string, found: string, self: Holder): Promise<void> {
  const right = `${file}.${createHash('sha256').update(found).digest('hex').slice(0, 16)}`;
  if (await isCreated(right, JSON.stringify(self))) {
    if ((await readLock(file)) === found) await rm(file, { force: true });
    return await rm(right, { force: true });
  }
  const other = await readLock(right);
  if (other === undefined) return;
  const holder = parseHolder(other);
  if (holder ? await isLive(right, holder, self) : await isTouched(right, UNWRITTEN_MS)) await sleep(POLL_MS);
  else await removeDead(right, other, self);
}

async function makeFolder(dataDir: string): Promise<string> {
  try {
    await mkdir(dataDir, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
    return await realpath(dataDir);
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new DatabaseStartError(`Cannot use the data folder ${dataDir}: ${said}. Check SLUICE_DATA_DIR.`, {
      cause,
    });
  }
}

/** Touches the lock file from time to time until it is released. */
function keep(file: string, text: string): () => Promise<void> {
  const timer = setInterval(
    () => void utimes(file, new Date(), new Date()).catch(() => {}),
    REFRESH_MS,
  ).unref();
  return async () => {
    clearInterval(timer);
    await removeIfUnchanged(file, text);
  };
}

async function isCreated(file: string, text: string): Promise<boolean> {
  try {
    await writeFile(file, text, { flag: 'wx', mode: 0o644 });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

async function isLive(file: string, holder: Holder, self: Holder): Promise<boolean> {
  if (holder.space === self.space) return (await processStart(holder.pid)) === holder.started;
  return isTouched(file, STALE_MS);
}

function parseHolder(text: string): Holder | undefined {
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Whether a file changes before it has been left alone for so long; at once false when it already has been. */
async function isTouched(file: string, patienceMs: number): Promise<boolean> {
  const first = await modifiedAt(file);
  while (Date.now() - first < patienceMs) {
    await sleep(POLL_MS);
    if ((await modifiedAt(file)) !== first) return true;
  }
  return false;
}

async function modifiedAt(file: string): Promise<number> {
  return stat(file).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
}

/**
 * Removes our own lock file if it still says what we wrote. It is moved away first and looked at then, for a process in another
 * container may have taken us for dead.
 */
async function removeIfUnchanged(file: string, text: string): Promise<void> {
  if ((await readLock(file)) !== text) return;
  const aside = `${file}.${randomUUID()}`;
  try {
    await rename(file, aside);
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  if ((await readLock(aside)) !== text) await link(aside, file);
  await rm(aside);
}

async function readLock(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
