import type { Logger } from 'pino';
import type { Dispatcher } from 'undici';
import { createS3Connection } from './s3-connection.ts';
import { missingObject } from './s3-errors.ts';
import { createMissingFile, createS3File } from './s3-file.ts';
import { createS3Listing } from './s3-listing.ts';
import { placeOf, type S3Access, type S3Location, serviceOf } from './s3-location.ts';
import type { ObjectSource } from './source.ts';

export type { S3Credentials, S3Location } from './s3-location.ts';

/** S3 has no longer keys, in bytes. */
const MAX_KEY_BYTES = 1024;

export interface S3SourceOptions {
  readonly location: S3Location;
  readonly credentials: S3Access;
  /** The guarded agent: connects only to what may be reached, and follows no redirects. It is not closed here. */
  readonly agent: Dispatcher;
  readonly log?: Logger | undefined;
  /** How long a body may stay below 1 KB/s, in milliseconds. */
  readonly stallTimeoutMs?: number | undefined;
}

/** Makes a bucket, or what is below a prefix of it, a source of files. Nothing is sent before it is asked for something. */
export function createS3Source(options: S3SourceOptions): ObjectSource & { close(): void } {
  const { location } = options;
  const { bucket, prefix = '' } = location;
  const place = placeOf(location);
  const connection = createS3Connection(options);
  const host = serviceOf(location).hostname;
  return {
    place,
    async check(signal) {
      await connection.list({ Prefix: prefix, MaxKeys: 1, EncodingType: 'url' }, signal);
    },
    list: createS3Listing({ connection, host, prefix }),
    file: (key) =>
      key.startsWith(prefix) && isKey(key)
        ? createS3File({ connection, origin: place, key })
        : createMissingFile(place, () => missingObject(bucket)),
    close: () => connection.close(),
  };
}

const isKey = (key: string): boolean =>
  key !== '' && key.isWellFormed() && Buffer.byteLength(key) <= MAX_KEY_BYTES;
