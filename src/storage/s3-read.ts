import { Readable } from 'node:stream';
import { type ByteRange, StorageError } from './adapter.ts';
import { createResumableBody } from './resumable-body.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { S3StorageError } from './s3-errors.ts';

/** The bytes of an object, or of a range of it. */
export interface S3Body {
  readonly bytes: Readable;
  /** How many there are. */
  readonly length: number;
}

export interface S3ReadOptions {
  readonly range?: ByteRange | undefined;
  /** Ends opening it, and its bytes. */
  readonly signal?: AbortSignal;
}

/** One answer of the store. */
interface Opened {
  readonly body: Readable;
  readonly length: number;
  readonly etag: string | undefined;
}

/**
 * Opens an object for reading. Where the connection is cut, it is read on behind that byte, as long as it is the same
 * object.
 * @throws {StorageError} with reason NOT_FOUND when there is none; what the stream ends with is one, too
 */
export async function openS3Object(
  bucket: S3Bucket,
  key: string,
  { range, signal }: S3ReadOptions = {},
): Promise<S3Body> {
  const start = range?.start ?? 0;
  const opened = await get(bucket, key, { start, end: range?.end, signal });
  const bytes = createResumableBody({
    first: opened.body,
    length: opened.length,
    rest: async (taken) => {
      const from = start + taken;
      const end = start + opened.length - 1;
      const again = await get(bucket, key, { start: from, end, etag: opened.etag, signal });
      if (again.length === opened.length - taken) return again.body;
      again.body.destroy();
      throw new StorageError('UNAVAILABLE', 'The object became another one while it was being read.');
    },
    explain: (error) => (error instanceof StorageError ? error : cut(error)),
  });
  return { bytes, length: opened.length };
}

interface Part {
  readonly start: number;
  /** Inclusive; undefined for the end of the object. */
  readonly end: number | undefined;
  /** What it has to be. */
  readonly etag?: string | undefined;
  readonly signal: AbortSignal | undefined;
}

async function get(bucket: S3Bucket, key: string, { start, end, etag, signal }: Part): Promise<Opened> {
  const isWhole = start === 0 && end === undefined;
  const request = {
    Bucket: bucket.name,
    Key: bucket.nameOf(key),
    ...(isWhole ? {} : { Range: `bytes=${start}-${end ?? ''}` }),
    ...(etag === undefined ? {} : { IfMatch: etag }),
  };
  const { Body, ContentLength, ContentRange, ETag } = await bucket.call('GetObject', (s3) =>
    s3.getObject(request, signal === undefined ? {} : { abortSignal: signal }),
  );
  // On Node the SDK gives the response of node:http itself.
  if (!(Body instanceof Readable)) throw new StorageError('UNAVAILABLE', 'The store sent no body.');
  if (ContentLength === undefined || (!isWhole && !ContentRange?.startsWith(`bytes ${start}-`))) {
    Body.destroy();
    throw new StorageError(
      'UNAVAILABLE',
      'The store did not send the part of the object that it was asked for.',
    );
  }
  return { body: Body, length: ContentLength, etag: ETag };
}

const cut = (error: unknown) =>
  new StorageError('UNAVAILABLE', 'The connection to the store was cut again and again; try again later.', {
    cause: error instanceof S3StorageError ? error.cause : error,
  });
