import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { type Storage, StorageError } from './adapter.ts';
import { createFileStorage } from './file.ts';
import { createS3Storage } from './s3.ts';
import type { S3Place } from './s3-bucket.ts';
import { isKey } from './secure-path.ts';

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const MAX_PREFIX_LENGTH = 500;
const PARAMETERS = new Set(['region', 'endpoint', 'pathStyle']);

export interface OpenStorageOptions {
  /** Where files lie for a while that an S3 storage lends; made when it is first needed. */
  readonly tempDir: string;
  readonly log: Logger;
}

/**
 * Makes the storage that a URL names: `file:///folder` or `s3://bucket/prefix?region=…&endpoint=…&pathStyle=…`.
 * Nothing is opened or asked before it is used.
 * @throws {StorageError} with a message that says what is wrong with the URL
 */
export function openStorage(url: string, { tempDir, log }: OpenStorageOptions): Storage {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed?.protocol === 'file:' && parsed.host === '') {
    return createFileStorage({ root: fileURLToPath(parsed) });
  }
  if (parsed?.protocol === 's3:') return createS3Storage({ place: placeOf(parsed), tempDir, log });
  throw wrong('It must be file:///folder or s3://bucket/prefix?region=….');
}

/** The place that an `s3:` URL names. @throws {StorageError} */
export function placeOf(url: URL): S3Place {
  const { hostname: bucket, searchParams } = url;
  if (url.username !== '' || url.password !== '' || url.port !== '' || url.hash !== '')
    throw wrong('It holds more than s3://bucket/prefix?region=…; credentials come from the environment.');
  if (!BUCKET.test(bucket)) throw wrong('It must name a bucket after s3://.');
  const prefix = url.pathname.replace(/^\/|\/$/g, '');
  if (prefix !== '' && (!isKey(prefix) || prefix.length > MAX_PREFIX_LENGTH))
    throw wrong('Its path may hold A-Z a-z 0-9 . _ - only, parted by single slashes.');
  for (const [name] of searchParams) {
    if (!PARAMETERS.has(name)) throw wrong(`It takes region, endpoint and pathStyle, not "${name}".`);
  }
  return {
    bucket,
    prefix,
    region: searchParams.get('region') ?? undefined,
    endpoint: endpointOf(searchParams.get('endpoint')),
    pathStyle: flagOf(searchParams.get('pathStyle')),
  };
}

function endpointOf(text: string | null): string | undefined {
  if (text === null) return undefined;
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw wrong('Its endpoint must be an http:// or https:// URL.');
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw wrong(
      'Its endpoint must be a host without credentials or a query; credentials come from the environment.',
    );
  return text;
}

function flagOf(text: string | null): boolean | undefined {
  if (text === null) return undefined;
  if (text !== 'true' && text !== 'false') throw wrong('Its pathStyle must be true or false.');
  return text === 'true';
}

const wrong = (sentence: string) =>
  new StorageError('UNAVAILABLE', `The URL of the storage is not right. ${sentence}`);
