import type { CompletedPart } from '@aws-sdk/client-s3';
import type { Logger } from 'pino';
import { StorageError } from './adapter.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { isNotImplemented, isUncertain, isUploadGone } from './s3-errors.ts';
import type { S3Objects } from './s3-objects.ts';
import { listParts, listUploads, type UnfinishedUpload, type UploadedPart } from './s3-pages.ts';

/** An upload, by what the store knows it by. */
export type UploadName = Pick<UnfinishedUpload, 'key' | 'id'>;

/** Uploads in parts of one bucket. All methods throw StorageError. */
export interface S3Uploads {
  /** @returns the id of the new upload. */
  begin(key: string): Promise<string>;
  send(upload: UploadName, number: number, bytes: Uint8Array): Promise<UploadedPart>;
  /**
   * Makes the object of these parts, and sees that it has as many bytes as they: one that has not is deleted again.
   * Also when no answer says so, it is made if the upload is gone and the object there.
   */
  complete(upload: UploadName, parts: readonly UploadedPart[]): Promise<void>;
  /** Throws the parts away; those of an upload that is over are gone already. */
  abort(upload: UploadName): Promise<void>;
  /** As `abort`; a failure is logged, and the upload left to the sweep. @returns whether it is gone */
  tryAbort(upload: UploadName): Promise<boolean>;
  /** The uploads below our prefix whose key begins with this text. None if the store cannot list them. */
  list(keyPrefix: string): AsyncIterable<UnfinishedUpload>;
  /** The parts from the first on up to the first that is missing. */
  parts(upload: UploadName): Promise<readonly UploadedPart[]>;
}

export interface S3UploadsOptions {
  readonly bucket: S3Bucket;
  readonly objects: S3Objects;
  readonly log: Logger;
}

/** Makes the uploads of a bucket. */
export function createS3Uploads({ bucket, objects, log }: S3UploadsOptions): S3Uploads {
  const named = ({ key, id }: UploadName) => ({
    Bucket: bucket.name,
    Key: bucket.nameOf(key),
    UploadId: id,
  });
  let isWarned = false;

  function warnOfBlindness(): void {
    if (isWarned) return;
    isWarned = true;
    log.warn(
      { bucket: bucket.name },
      'the store cannot list unfinished uploads; have it remove them itself after a few days, by a lifecycle rule',
    );
  }

  const uploads: S3Uploads = {
    async begin(key) {
      const { UploadId } = await bucket.call('CreateMultipartUpload', (s3) =>
        s3.createMultipartUpload({ Bucket: bucket.name, Key: bucket.nameOf(key) }),
      );
      return UploadId ?? incomplete('CreateMultipartUpload');
    },
    async send(upload, number, bytes) {
      const { ETag } = await bucket.call('UploadPart', (s3) =>
        s3.uploadPart({
          ...named(upload),
          PartNumber: number,
          Body: bytes,
          ContentLength: bytes.length,
        }),
      );
      return { number, etag: ETag ?? incomplete('UploadPart'), size: bytes.length };
    },
    async complete(upload, parts) {
      const size = parts.reduce((sum, part) => sum + part.size, 0);
      const request = {
        ...named(upload),
        MultipartUpload: {
          Parts: parts.map(({ number, etag }): CompletedPart => ({ PartNumber: number, ETag: etag })),
        },
      };
      try {
        await bucket.call('CompleteMultipartUpload', (s3) => s3.completeMultipartUpload(request));
      } catch (error) {
        if (isUncertain(error) && (await isCompleted(upload, size))) return;
        throw error;
      }
      const found = await objects.stat(upload.key);
      if (found?.size === size) return;
      await objects.deleteOne(upload.key);
      throw new StorageError(
        'UNAVAILABLE',
        `The store made an object of ${found?.size ?? 0} bytes from ${size} bytes; it was deleted again.`,
      );
    },
    async abort(upload) {
      try {
        await bucket.call('AbortMultipartUpload', (s3) => s3.abortMultipartUpload(named(upload)));
      } catch (error) {
        if (!isUploadGone(error)) throw error;
      }
    },
    async tryAbort(upload) {
      try {
        await uploads.abort(upload);
        return true;
      } catch (error) {
        log.warn(
          { err: error, key: upload.key },
          'an unfinished upload was not aborted; the next sweep tries again',
        );
        return false;
      }
    },
    async *list(keyPrefix) {
      try {
        for await (const upload of listUploads(bucket, keyPrefix)) yield upload;
      } catch (error) {
        if (!isNotImplemented(error)) throw error;
        warnOfBlindness();
      }
    },
    async parts(upload) {
      const found: UploadedPart[] = [];
      for await (const part of listParts(bucket, upload)) {
        if (part.number !== found.length + 1) break;
        found.push(part);
      }
      return found;
    },
  };

  /** Whether an upload ended as the object that it should, for all that is known without an answer. */
  async function isCompleted(upload: UploadName, size: number): Promise<boolean> {
    try {
      await uploads.parts(upload);
      return false;
    } catch (error) {
      if (!isUploadGone(error)) return false;
    }
    const found = await objects.stat(upload.key).catch(() => null);
    return found?.size === size;
  }

  return uploads;
}

function incomplete(operation: string): never {
  throw new StorageError('UNAVAILABLE', `The store answered ${operation} without what it has to say.`);
}
