import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Logger } from 'pino';
import type { Storage } from './adapter.ts';
import { notFound } from './file-errors.ts';
import { createLocalCopies } from './local-copies.ts';
import { adoptObject, adoptObjects } from './s3-adopt.ts';
import { createS3Bucket, type S3Place } from './s3-bucket.ts';
import { moveObject } from './s3-move.ts';
import { createS3Objects } from './s3-objects.ts';
import type { UnfinishedUpload, UploadedPart } from './s3-pages.ts';
import { presignObject } from './s3-presign.ts';
import { openS3Object } from './s3-read.ts';
import { createS3Uploads, type S3Uploads } from './s3-uploads.ts';
import { openS3Writer } from './s3-writer.ts';
import { assertKey, isKey } from './secure-path.ts';
import { createSpaceGuard } from './space.ts';
import { createWorkFolders } from './work-folders.ts';

const IDLE_SECONDS = 30;

export interface S3StorageOptions {
  readonly place: S3Place;
  /** Where copies for `withLocalFile` and work folders are for a while; made when it is first needed. */
  readonly tempDir: string;
  readonly log: Logger;
  /** After how long without a byte a connection is given up; 30 unless given. */
  readonly idleSeconds?: number;
  /** What one request copies at most, in bytes; 4 GiB unless given. */
  readonly maxCopyBytes?: number;
}

/**
 * Makes a storage that keeps each key as one object of a bucket. An unfinished write is an upload in parts; its parts
 * cannot be read, so `readPartial` completes it at its key first. Two things depend on the store: those that list no
 * unfinished uploads, or not by prefix, keep them until they remove them by themselves.
 */
export function createS3Storage({
  place,
  tempDir,
  log,
  idleSeconds = IDLE_SECONDS,
  maxCopyBytes,
}: S3StorageOptions): Storage {
  const bucket = createS3Bucket(place, { idleSeconds });
  const objects = createS3Objects(bucket);
  const uploads = createS3Uploads({ bucket, objects, log });
  const copies = createLocalCopies(tempDir);
  const workDir = join(tempDir, 'work');
  const work = createWorkFolders({ folder: workDir, space: createSpaceGuard({ root: workDir }) });

  return {
    async create(key) {
      assertKey(key);
      return await openS3Writer({ key, objects, uploads, log });
    },
    async stat(key) {
      assertKey(key);
      return await objects.stat(key);
    },
    async read(key, range) {
      assertKey(key);
      return (await openS3Object(bucket, key, { range })).bytes;
    },
    async presign(key, options) {
      assertKey(key);
      return await presignObject(bucket, key, options);
    },
    async statPartial(key) {
      assertKey(key);
      const partial = await findPartial(uploads, key);
      return partial && { size: partial.parts.reduce((sum, { size }) => sum + size, 0) };
    },
    async readPartial(key): Promise<Readable> {
      assertKey(key);
      const partial = (await objects.stat(key)) === null ? await findPartial(uploads, key) : null;
      if (partial === null) throw notFound();
      await uploads.complete(partial.upload, partial.parts);
      return (await openS3Object(bucket, key)).bytes;
    },
    async move(from, to) {
      assertKey(from);
      assertKey(to);
      await moveObject({ bucket, objects, uploads, ...(maxCopyBytes ? { maxCopyBytes } : {}) }, { from, to });
    },
    availableBytes: async () => null,
    async delete(prefix) {
      const key = withoutSlash(prefix);
      assertKey(key);
      // Uploads first: one that is completed meanwhile is an object by then.
      for await (const upload of uploads.list(key)) {
        if (upload.key === key || upload.key.startsWith(`${key}/`)) await uploads.abort(upload);
      }
      await objects.deleteOne(key);
      await objects.deleteAll(`${key}/`);
    },
    async *list(prefix, { partials = false } = {}) {
      const key = withoutSlash(prefix);
      if (key !== '') assertKey(key);
      const below = key === '' ? '' : `${key}/`;
      if (key !== '' && (await objects.stat(key)) !== null) yield key;
      for await (const found of objects.list(below)) if (isKey(found)) yield found;
      if (!partials) return;
      let last = '';
      for await (const { key: found } of uploads.list(key)) {
        if (found === last || !isKey(found) || (found !== key && !found.startsWith(below))) continue;
        last = found;
        if ((await objects.stat(found)) === null) yield found;
      }
    },
    async withLocalFile(key, fn, { signal }) {
      assertKey(key);
      signal.throwIfAborted();
      const source = await openS3Object(bucket, key, { signal }).catch((error: unknown) => {
        signal.throwIfAborted();
        throw error;
      });
      return await copies.lend({ ...source, signal }, fn);
    },
    withWorkFolder: (fn) => work.lend(fn),
    adopt: (localPath, key) => adoptObject({ objects, uploads, log }, localPath, key),
    adoptFolder: (localFolder, prefix) =>
      adoptObjects({ objects, uploads, log }, localFolder, withoutSlash(prefix)),
    async checkWritable() {
      const probe = `.check-${randomUUID()}`;
      await objects.put(probe, Buffer.from('ok'));
      await objects.deleteOne(probe);
      // A folder of one's own that nothing is in; only the right to list is of interest.
      for await (const _ of objects.list(`${probe}/`)) break;
      for await (const _ of uploads.list(`${probe}/`)) break;
    },
    async sweepUnfinished(olderThan) {
      let count = (await copies.sweep(olderThan)) + (await work.sweep(olderThan));
      // A bucket may be shared: of what others upload there, nothing is ours to end.
      for await (const upload of uploads.list('teams/')) {
        if (upload.begunAt < olderThan && OWN_UPLOAD.test(upload.key) && (await uploads.tryAbort(upload)))
          count += 1;
      }
      return count;
    },
  };
}

/** What the product writes: see `Storage`. */
const OWN_UPLOAD = /^teams\/[^/]+\/tasks\/[^/]+\/\d+\//;

const withoutSlash = (prefix: string) => prefix.replace(/\/$/, '');

interface PartialUpload {
  readonly upload: UnfinishedUpload;
  /** One at least. */
  readonly parts: readonly UploadedPart[];
}

/** The newest upload of a key that has any bytes; one that never took any may be the trace of a request that was repeated. */
async function findPartial(uploads: S3Uploads, key: string): Promise<PartialUpload | null> {
  const found: UnfinishedUpload[] = [];
  for await (const upload of uploads.list(key)) if (upload.key === key) found.push(upload);
  found.sort((one, other) => other.begunAt.getTime() - one.begunAt.getTime());
  for (const upload of found) {
    const parts = await uploads.parts(upload);
    if (parts.length > 0) return { upload, parts };
  }
  return null;
}
