import { StorageError, type StoredObject } from './adapter.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { isNotImplemented, S3StorageError } from './s3-errors.ts';
import { listNames } from './s3-pages.ts';

/** The objects of a bucket, finished ones only. All methods throw StorageError. */
export interface S3Objects {
  /** Null if there is none. */
  stat(key: string): Promise<StoredObject | null>;
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Nothing there is no error. */
  deleteOne(key: string): Promise<void>;
  /** Deletes everything whose key begins with this text. */
  deleteAll(keyPrefix: string): Promise<void>;
  /** The keys that begin with this text, whoever made them. */
  list(keyPrefix: string): AsyncIterable<string>;
}

/** Makes the access to a bucket's objects. */
export function createS3Objects(bucket: S3Bucket): S3Objects {
  const named = (key: string) => ({ Bucket: bucket.name, Key: bucket.nameOf(key) });

  const objects: S3Objects = {
    async stat(key) {
      try {
        const { ContentLength, LastModified } = await bucket.call('HeadObject', (s3) =>
          s3.headObject(named(key)),
        );
        return { size: ContentLength ?? 0, modifiedAt: LastModified ?? new Date(0) };
      } catch (error) {
        if (error instanceof StorageError && error.reason === 'NOT_FOUND') return null;
        throw error;
      }
    },
    async put(key, bytes) {
      await bucket.call('PutObject', (s3) =>
        s3.putObject({ ...named(key), Body: bytes, ContentLength: bytes.length }),
      );
    },
    async deleteOne(key) {
      await bucket.call('DeleteObject', (s3) => s3.deleteObject(named(key)));
    },
    async deleteAll(keyPrefix) {
      for await (const names of listNames(bucket, keyPrefix)) await deleteBatch(bucket, names);
    },
    async *list(keyPrefix) {
      for await (const names of listNames(bucket, keyPrefix)) {
        for (const name of names) {
          const key = bucket.keyOf(name);
          if (key !== null) yield key;
        }
      }
    },
  };
  return objects;
}

async function deleteBatch(bucket: S3Bucket, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  const request = {
    Bucket: bucket.name,
    Delete: { Objects: names.map((Key) => ({ Key })), Quiet: true },
  };
  try {
    const { Errors = [] } = await bucket.call('DeleteObjects', (s3) => s3.deleteObjects(request));
    const [first] = Errors;
    if (first !== undefined) throw notAllDeleted(Errors.length, first.Code);
  } catch (error) {
    if (!cannotDeleteMany(error)) throw error;
    for (const Key of names) {
      await bucket.call('DeleteObject', (s3) => s3.deleteObject({ Bucket: bucket.name, Key }));
    }
  }
}

/** Whether the store has no request for many objects, or wants a checksum with it that is not sent any more. */
function cannotDeleteMany(error: unknown): boolean {
  if (isNotImplemented(error)) return true;
  return (
    error instanceof S3StorageError &&
    (error.code === 'MissingContentMD5' ||
      error.code === 'InvalidRequest' ||
      error.code === 'InvalidArgument')
  );
}

const notAllDeleted = (count: number, code: string | undefined) =>
  new StorageError('UNAVAILABLE', `The store did not delete ${count} objects (${code ?? 'unknown error'}).`);
