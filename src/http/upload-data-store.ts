import { pipeline, type Readable, Transform } from 'node:stream';
import { DataStore, ERRORS, Upload } from '@tus/server';
import { forgetUpload } from '../services/create-upload.ts';
import type { Services } from '../services/deps.ts';
import { completeUpload, deleteUpload } from '../services/receive-upload.ts';
import { readUpload, UPLOAD_SECONDS } from '../services/upload-rows.ts';
import { StorageFullError } from '../storage/adapter.ts';
import type { UploadStore } from '../storage/upload-store.ts';
import { idOfKey } from './upload-keys.ts';
import type { UploadLocks } from './upload-locks.ts';

interface Parts {
  readonly services: Services;
  readonly store: UploadStore;
  readonly locks: UploadLocks;
}

/**
 * What the tus server asks for its uploads: what is known of them is in the database, their bytes are in the store, and
 * how far they are is told by the bytes that are there. Its ids are keys of the storage.
 */
export class UploadDataStore extends DataStore {
  // No creation-defer-length: room is kept for all of an upload from its beginning.
  override extensions = ['creation', 'creation-with-upload', 'termination', 'expiration'];
  readonly #parts: Parts;

  constructor(parts: Parts) {
    super();
    this.#parts = parts;
  }

  override getExpiration(): number {
    return UPLOAD_SECONDS * 1000;
  }

  override async create(upload: Upload): Promise<Upload> {
    const { services, store } = this.#parts;
    const id = idOfKey(upload.id);
    try {
      await store.create(upload.id, upload.size ?? 0);
    } catch (error) {
      // Nothing was begun: whoever tries again must not find it used up.
      await forgetUpload(services, id).catch(() => {});
      throw error;
    }
    if (upload.size === 0) await completeUpload(services, id);
    return upload;
  }

  override async getUpload(key: string): Promise<Upload> {
    const { services, store } = this.#parts;
    const row = await readUpload(services.db, idOfKey(key));
    if (row === null) throw ERRORS.FILE_NOT_FOUND;
    const { length, metadata, createdAt } = row;
    // The bytes of a complete one may be its task's by now.
    const offset = row.isComplete ? length : Math.min(await store.offset(key), length);
    if (offset === length && !row.isComplete) await completeStored(services, { id: row.id, key, length });
    return new Upload({
      id: key,
      size: length,
      offset,
      ...(metadata === null ? {} : { metadata: { ...metadata } }),
      creation_date: createdAt.toISOString(),
    });
  }

  override async write(stream: Readable, key: string, offset: number): Promise<number> {
    const { services, store, locks } = this.#parts;
    const id = idOfKey(key);
    const row = await readUpload(services.db, id);
    if (row === null || row.isGone) throw ERRORS.FILE_NO_LONGER_EXISTS;
    if (row.isComplete) return row.length;
    const available = await services.storage.availableBytes();
    if (available !== null && available < row.length - offset) throw new StorageFullError();
    const counted = countBytes(stream, (bytes) => locks.received(key, offset + bytes));
    const end = await store.write(key, offset, counted);
    locks.received(key, end);
    if (end === row.length) await completeUpload(services, id);
    return end;
  }

  override async remove(key: string): Promise<void> {
    await deleteUpload(this.#parts.services, idOfKey(key));
  }
}

/** A process that died may have stored the last byte. That all is there has to be seen: a bucket says so of what is gone, too. */
async function completeStored(
  services: Services,
  { id, key, length }: { readonly id: string; readonly key: string; readonly length: number },
): Promise<void> {
  const stored = await services.storage.stat(key);
  if (stored?.size !== length) throw ERRORS.FILE_NO_LONGER_EXISTS;
  await completeUpload(services, id);
}

/** The same bytes, counted as they pass. */
function countBytes(stream: Readable, tell: (bytes: number) => void): Readable {
  let bytes = 0;
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      tell(bytes);
      done(null, chunk);
    },
  });
  // Whoever reads the counter is told of the error by that.
  return pipeline(stream, counter, () => {});
}
