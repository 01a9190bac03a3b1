import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { guarded, isMissing } from './file-errors.ts';
import { isOlder } from './file-sweep.ts';
import { makeFolder } from './folders.ts';
import type { SpaceGuard } from './space.ts';

/** How often a folder is marked as in use, and the volume's space looked at. */
const BEAT_MS = 10_000;
/** A folder that was not marked for so long belongs to nobody: clocks of machines that share a volume may differ a bit. */
const STALE_MS = 30 * 60 * 1000;
/** What dead processes left may be large, so whoever needs a folder looks for it, but not each time. */
const SWEEP_MS = 10 * 60 * 1000;
const NAME = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Folders of this machine that work writes into for a while. */
export interface WorkFolders {
  /**
   * Calls `fn` with the path of an empty folder, for our own user only, which is removed whatever happens. Its signal aborts
   * when the volume runs full meanwhile.
   * @throws {StorageError} StorageFullError when the volume is full, or ran full and `fn` failed
   */
  lend<T>(fn: (path: string, signal: AbortSignal) => Promise<T>): Promise<T>;
  /**
   * Removes what processes left that ended without doing so, last changed before a time. What a living process uses stays,
   * whatever the time.
   * @returns how many folders
   */
  sweep(olderThan: Date): Promise<number>;
}

export interface WorkFoldersOptions {
  /** Where they are made; made itself when it is first needed. */
  readonly folder: string;
  /** Of the volume that it is on. */
  readonly space: Pick<SpaceGuard, 'assertRoom'>;
  /** In milliseconds; 10 s unless given. */
  readonly beatMs?: number;
}

/** Makes work folders below one that all processes may share: each marks its own as in use, for as long as it lives. */
export function createWorkFolders({ folder, space, beatMs = BEAT_MS }: WorkFoldersOptions): WorkFolders {
  const used = new Set<string>();
  let sweptAt = 0;

  async function make(): Promise<string> {
    const path = join(folder, randomUUID());
    await makeFolder(folder);
    await sweepNowAndThen();
    await space.assertRoom(0);
    await mkdir(path, { mode: 0o700 });
    return path;
  }

  async function sweepNowAndThen(): Promise<void> {
    if (Date.now() - sweptAt < SWEEP_MS) return;
    sweptAt = Date.now();
    // It is none of the business of who needs a folder now; the next sweep tries again.
    await sweep(new Date()).catch(() => {});
  }

  async function sweep(olderThan: Date): Promise<number> {
    const limit = new Date(Math.min(olderThan.getTime(), Date.now() - STALE_MS));
    let count = 0;
    for (const entry of await entriesOf(folder)) {
      const path = join(folder, entry);
      if (!NAME.test(entry) || used.has(path) || !(await isOlder(path, limit))) continue;
      await rm(path, { recursive: true, force: true });
      count += 1;
    }
    return count;
  }

  return {
    async lend(fn) {
      const path = await guarded(make);
      used.add(path);
      const full = new AbortController();
      const beat = setInterval(() => {
        space.assertRoom(0).catch((error: unknown) => full.abort(error));
        const now = new Date();
        // A folder that cannot be marked is a folder that cannot be written to, which is told by who writes.
        utimes(path, now, now).catch(() => {});
      }, beatMs);
      try {
        return await fn(path, full.signal);
      } catch (error) {
        full.signal.throwIfAborted();
        throw error;
      } finally {
        clearInterval(beat);
        // What cannot be removed now is removed by a sweep: the work itself is done.
        await rm(path, { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
        used.delete(path);
      }
    },
    sweep: (olderThan) => guarded(() => sweep(olderThan)),
  };
}

async function entriesOf(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
