import { type S3Answer, xmlAnswer } from './answer.ts';
import type { StoredObject } from './bucket.ts';
import { encodeKeyAsAws } from './encoding.ts';
import { invalidArgument, notImplemented } from './failure.ts';
import type { Call } from './operations.ts';
import type { S3Quirks } from './types.ts';
import { element } from './xml.ts';

const TOKEN_MARK = 'sluice-double:';

/** ListObjectsV2. */
export async function listObjects({ bucket, request, quirks, maxKeys }: Call): Promise<S3Answer> {
  const { query } = request;
  if (query.has('delimiter')) throw notImplemented('delimiters');
  const token = query.get('continuation-token');
  const startAfter = query.get('start-after');
  const after = token === null ? startAfter : readToken(token, quirks);
  const prefix = query.get('prefix') ?? '';
  const limit = Math.min(numberIn(query, 'max-keys', 1000), maxKeys);
  const encode = keyEncoder(query, quirks);
  const { objects, isTruncated } = takePage(bucket.walk(after, prefix), prefix, limit);
  const last = objects.at(-1)?.key;
  return xmlAnswer(
    'ListBucketResult',
    [
      element('Name', bucket.name),
      element('Prefix', encode(prefix)),
      ...(startAfter === null ? [] : [element('StartAfter', encode(startAfter))]),
      ...(token === null ? [] : [element('ContinuationToken', token)]),
      element('KeyCount', objects.length),
      element('MaxKeys', limit),
      ...encodingOf(query, quirks),
      element('IsTruncated', isTruncated),
      ...(isTruncated && last !== undefined ? [element('NextContinuationToken', makeToken(last))] : []),
      ...objects.map((object) => contentsOf(object, encode)),
    ].join(''),
  );
}

function takePage(objects: Generator<StoredObject>, prefix: string, limit: number) {
  const page: StoredObject[] = [];
  let isTruncated = false;
  for (const object of objects) {
    // All keys with a prefix are next to each other.
    if (!object.key.startsWith(prefix) || limit === 0) break;
    isTruncated = page.length === limit;
    if (isTruncated) break;
    page.push(object);
  }
  return { objects: page, isTruncated };
}

function contentsOf(object: StoredObject, encode: (key: string) => string): string {
  const key =
    object.listedAs === undefined ? element('Key', encode(object.key)) : `<Key>${object.listedAs}</Key>`;
  return `<Contents>${[
    key,
    element('LastModified', object.lastModified.toISOString()),
    ...(object.etag === '' ? [] : [element('ETag', object.etag)]),
    element('Size', object.content.size),
    element('StorageClass', object.storageClass),
  ].join('')}</Contents>`;
}

const makeToken = (key: string): string => Buffer.from(`${TOKEN_MARK}${key}`).toString('base64');

function readToken(token: string, quirks: S3Quirks): string | null {
  const text = Buffer.from(token, 'base64').toString();
  if (quirks.refuseContinuation === true || !text.startsWith(TOKEN_MARK)) {
    throw invalidArgument('The continuation token provided is incorrect');
  }
  return quirks.ignoreContinuation === true ? null : text.slice(TOKEN_MARK.length);
}

/** How keys are written in a listing that was asked for like this. */
export function keyEncoder(query: URLSearchParams, quirks: S3Quirks): (key: string) => string {
  if (encodingOf(query, quirks).length === 0) return (key) => key;
  return quirks.encodeKey ?? encodeKeyAsAws;
}

/** The element that tells how keys are written, if they are encoded. */
export const encodingOf = (query: URLSearchParams, quirks: S3Quirks): string[] =>
  query.get('encoding-type') === 'url' && quirks.ignoreEncodingType !== true
    ? [element('EncodingType', 'url')]
    : [];

/** A number of a query. @throws {S3Failure} when it is none. */
export function numberIn(query: URLSearchParams, name: string, otherwise: number): number {
  const text = query.get(name) ?? String(otherwise);
  if (!/^\d{1,9}$/.test(text))
    throw invalidArgument(`Provided ${name} not an integer or within integer range`);
  return Number(text);
}
