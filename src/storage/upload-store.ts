import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { StorageError } from './adapter.ts';
import { guarded } from './file-errors.ts';
import { makeFolder, syncFolder } from './folders.ts';
import { placeOf } from './open.ts';
import { clientConfig, type S3Place } from './s3-bucket.ts';
import { pathOfKey } from './secure-path.ts';

/** Takes files piece by piece, each piece behind those before it, into the storage; by the stores of tus. */
export interface UploadStore {
  /** Begins a file of so many bytes at a key of the storage. */
  create(key: string, length: number): Promise<void>;
  /**
   * Stores bytes from an offset on, which must be where the file ends by now. When the last one is stored, the whole is at
   * the key. What came before the stream failed is kept as far as the store can keep it.
   * @returns where the file ends now
   */
  write(key: string, offset: number, bytes: Readable): Promise<number>;
  /**
   * Where the file ends by now.
   * @throws {StorageError} with reason NOT_FOUND when none was begun
   */
  offset(key: string): Promise<number>;
}

const IDLE_SECONDS = 30;
/** Parts of all uploads that are on their way to the bucket at once, each of 8 MiB in a file until it is there. */
const PARTS_AT_ONCE = 8;

/**
 * Opens the store of uploads for the storage that a URL names, as `openStorage` takes it: its files are where that storage
 * finds them.
 */
export async function openUploadStore(url: string): Promise<UploadStore> {
  const parsed = new URL(url);
  return parsed.protocol === 's3:'
    ? await openS3Uploads(placeOf(parsed))
    : await openFileUploads(fileURLToPath(parsed));
}

async function openFileUploads(root: string): Promise<UploadStore> {
  const { FileStore } = await import('@tus/file-store');
  const { Upload } = await import('@tus/server');
  await guarded(() => makeFolder(root));
  // What is known of an upload is in the database: this store need not remember anything.
  const configstore = {
    get: async (id: string) => new Upload({ id, offset: 0 }),
    set: async () => {},
    delete: async () => {},
  };
  const store = new FileStore({ directory: root, configstore });
  return {
    async create(key, length) {
      const folder = dirname(pathOfKey(root, key));
      const changed = await guarded(() => makeFolder(folder));
      await store.create(new Upload({ id: key, size: length, offset: 0 }));
      for (const each of [folder, ...changed]) await guarded(() => syncFolder(each));
    },
    async write(key, offset, bytes) {
      try {
        return await store.write(bytes, key, offset);
      } finally {
        await guarded(() => syncFile(pathOfKey(root, key)));
      }
    },
    offset: async (key) => (await found(() => store.getUpload(key))).offset,
  };
}

/** What a client is told to be stored has to be there after a power cut as well. */
async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

async function openS3Uploads(place: S3Place): Promise<UploadStore> {
  // It loads the AWS SDK, which only those should wait for who need it.
  const { S3Store } = await import('@tus/s3-store');
  const { Upload } = await import('@tus/server');
  const nameOf = (key: string) => (place.prefix === '' ? key : `${place.prefix}/${key}`);
  const store = new S3Store({
    s3ClientConfig: { bucket: place.bucket, ...clientConfig(place, IDLE_SECONDS) },
    useTags: false,
    maxConcurrentPartUploads: PARTS_AT_ONCE,
    // Another process may have ended the upload since: what was remembered here would be out of date.
    cache: { get: async () => undefined, set: async () => {}, delete: async () => {} },
  });
  return {
    async create(key, length) {
      await store.create(new Upload({ id: nameOf(key), size: length, offset: 0 }));
    },
    write: (key, offset, bytes) => store.write(bytes, nameOf(key), offset),
    offset: async (key) => (await found(() => store.getUpload(nameOf(key)))).offset,
  };
}

/** The errors of tus are objects with a status. */
async function found<T>(look: () => Promise<T>): Promise<T> {
  try {
    return await look();
  } catch (error) {
    const status =
      typeof error === 'object' && error !== null && 'status_code' in error ? error.status_code : null;
    if (status !== 404 && status !== 410) throw error;
    throw new StorageError('NOT_FOUND', 'There is no such upload in the storage.', { cause: error });
  }
}
