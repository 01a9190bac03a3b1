import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, open, opendir, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { type ByteRange, type Storage, StorageError, type StoredObject } from './adapter.ts';
import { adoptFile, adoptFiles } from './file-adopt.ts';
import { guarded, isMissing, notFound } from './file-errors.ts';
import { moveFile } from './file-move.ts';
import { sweepPartials } from './file-sweep.ts';
import { openFileWriter } from './file-writer.ts';
import { makeFolder, removeEmptyFolders } from './folders.ts';
import { assertKey, isSegment, PARTIAL_SUFFIX, pathOfKey } from './secure-path.ts';
import { createSpaceGuard } from './space.ts';
import { createWorkFolders } from './work-folders.ts';

/** Below the root, so that what work made is adopted by a rename; no key begins with a dot. */
const WORK_FOLDER = '.work';
const READ_CHUNK_BYTES = 256 * 1024;

export interface FileStorageOptions {
  /** The folder that everything lies in; made when it is first needed. */
  readonly root: string;
  /** Space that is left to others on the volume, in bytes; 1 GiB, or 5 % of a small volume, unless given. */
  readonly reserveBytes?: number;
}

/**
 * Makes a storage that keeps each key as one file below a folder. A file appears at its name when it is complete and
 * on the disk; before that it carries the suffix `.part`. Folders and files are for our own user only.
 */
export function createFileStorage(options: FileStorageOptions): Storage {
  const root = resolve(options.root);
  const space = createSpaceGuard({ root, reserveBytes: options.reserveBytes });
  const work = createWorkFolders({ folder: join(root, WORK_FOLDER), space });
  const partialOf = (key: string) => pathOfKey(root, key) + PARTIAL_SUFFIX;

  return {
    create: async (key) => openFileWriter({ root, path: pathOfKey(root, key), space }),
    stat: async (key) => statFile(pathOfKey(root, key)),
    read: async (key, range) => readFile(pathOfKey(root, key), range),
    async presign(key) {
      assertKey(key);
      return null;
    },
    statPartial: async (key) => statFile(partialOf(key)),
    readPartial: async (key) => readFile(partialOf(key)),
    move: (from, to) => moveFile(root, { from: pathOfKey(root, from), to: pathOfKey(root, to) }),
    availableBytes: () =>
      guarded(async () => {
        await makeFolder(root);
        return await space.availableBytes();
      }),
    async delete(prefix) {
      const path = pathOfKey(root, withoutSlash(prefix));
      await guarded(async () => {
        await rm(path, { recursive: true, force: true });
        await rm(path + PARTIAL_SUFFIX, { force: true });
        await removeEmptyFolders(root, dirname(path));
      });
    },
    list: (prefix, { partials = false } = {}) => listKeys({ root, partials }, withoutSlash(prefix)),
    async withLocalFile(key, fn, { signal }) {
      const path = pathOfKey(root, key);
      signal.throwIfAborted();
      if ((await statFile(path)) === null) throw notFound();
      return fn(path);
    },
    withWorkFolder: (fn) => work.lend(fn),
    adopt: (localPath, key) => adoptFile({ root, space }, localPath, key),
    adoptFolder: (localFolder, prefix) => adoptFiles({ root, space }, localFolder, withoutSlash(prefix)),
    async checkWritable() {
      await guarded(async () => {
        await makeFolder(root);
        await writeProbe(join(root, `.check-${randomUUID()}`));
        await space.assertRoom(0);
      });
    },
    async sweepUnfinished(olderThan) {
      const folders = await work.sweep(olderThan);
      return folders + (await guarded(() => sweepPartials(root, olderThan)));
    },
  };
}

const withoutSlash = (prefix: string) => prefix.replace(/\/$/, '');

async function statFile(path: string): Promise<StoredObject | null> {
  try {
    const stats = await lstat(path);
    return stats.isFile() ? { size: stats.size, modifiedAt: stats.mtime } : null;
  } catch (error) {
    if (isMissing(error)) return null;
    return guarded(() => Promise.reject(error));
  }
}

/** Opens before it answers, so that a missing file is an error here and not one in the middle of a stream. */
async function readFile(path: string, range?: ByteRange): Promise<Readable> {
  return guarded(async () => {
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      if (!(await handle.stat()).isFile()) throw notFound();
      return handle.createReadStream({ ...range, highWaterMark: READ_CHUNK_BYTES });
    } catch (error) {
      await handle.close();
      throw error;
    }
  });
}

interface Listing {
  readonly root: string;
  readonly partials: boolean;
}

async function* listKeys(listing: Listing, prefix: string): AsyncGenerator<string> {
  const { root, partials } = listing;
  if (prefix === '') return yield* listFolder(listing, '');
  const path = pathOfKey(root, prefix);
  const isCommitted = (await statFile(path)) !== null;
  if (isCommitted || (partials && (await statFile(path + PARTIAL_SUFFIX)) !== null)) yield prefix;
  yield* listFolder(listing, prefix);
}

async function* listFolder(listing: Listing, key: string): AsyncGenerator<string> {
  const path = key === '' ? listing.root : pathOfKey(listing.root, key);
  const folder = await guarded(() => opendir(path)).catch(nullIfMissing);
  if (folder === null) return;
  for await (const entry of folder) {
    const isPartial = entry.isFile() && entry.name.endsWith(PARTIAL_SUFFIX);
    const name = isPartial ? entry.name.slice(0, -PARTIAL_SUFFIX.length) : entry.name;
    if (!isSegment(name)) continue;
    const child = key === '' ? name : `${key}/${name}`;
    if (entry.isDirectory()) yield* listFolder(listing, child);
    else if (isPartial && listing.partials && (await statFile(join(path, name))) === null) yield child;
    else if (entry.isFile() && !isPartial) yield child;
  }
}

function nullIfMissing(error: unknown): null {
  if (error instanceof StorageError && error.reason === 'NOT_FOUND') return null;
  throw error;
}

/** Writes a file, makes it durable and removes it. */
async function writeProbe(path: string): Promise<void> {
  const handle = await open(path, 'wx', 0o600);
  try {
    await handle.writeFile('ok');
    await handle.sync();
  } finally {
    await handle.close();
    await rm(path, { force: true });
  }
}
