import { createHash } from 'node:crypto';
import type { S3Answer } from './answer.ts';
import { xmlAnswer } from './answer.ts';
import type { StoredObject } from './bucket.ts';
import { quoted } from './encoding.ts';
import { noSuchKey, S3Failure } from './failure.ts';
import type { OpenRequest } from './head.ts';
import type { Call } from './operations.ts';
import type { S3Quirks } from './types.ts';
import { element, elementsOf, textOf } from './xml.ts';

/** The most keys that one request deletes. */
const MAX_DELETED = 1000;

/** GetObject and HeadObject. */
export async function getObject({ bucket, request, quirks }: Call): Promise<S3Answer> {
  const object = bucket.find(request.key);
  if (object === undefined) throw noSuchKey(request.key);
  const headers = headersOf(object);
  const condition = conditionOf(object, request, quirks);
  if (condition === 412)
    throw new S3Failure(412, 'PreconditionFailed', 'A condition of the request does not hold.');
  if (condition === 304) return { status: 304, headers };
  if (request.operation === 'GetObject' && isArchived(object)) throw archived();
  return rangeOf(object, quirks.ignoreRange === true ? undefined : request.headers.range, headers);
}

function headersOf(object: StoredObject): Record<string, string> {
  return {
    'accept-ranges': 'bytes',
    'content-type': object.contentType,
    'last-modified': object.lastModified.toUTCString(),
    ...object.metadata,
    ...(object.etag === '' ? {} : { etag: object.etag }),
    ...(object.storageClass === 'STANDARD' ? {} : { 'x-amz-storage-class': object.storageClass }),
  };
}

/** What the conditions of a request make of it; null: it is served. */
function conditionOf(object: StoredObject, { headers }: OpenRequest, quirks: S3Quirks): 304 | 412 | null {
  const ifMatch = quirks.ignoreIfMatch === true ? undefined : headers['if-match'];
  const ifNoneMatch = quirks.ignoreIfNoneMatch === true ? undefined : headers['if-none-match'];
  const changedAt = object.lastModified.getTime();
  if (ifMatch !== undefined && !isNamed(object, ifMatch)) return 412;
  const unmodifiedSince = headers['if-unmodified-since'];
  if (ifMatch === undefined && unmodifiedSince !== undefined && changedAt > Date.parse(unmodifiedSince))
    return 412;
  if (ifNoneMatch !== undefined) return isNamed(object, ifNoneMatch) ? 304 : null;
  const modifiedSince = headers['if-modified-since'];
  return modifiedSince !== undefined && changedAt <= Date.parse(modifiedSince) ? 304 : null;
}

const isNamed = (object: StoredObject, condition: string): boolean =>
  condition.split(',').some((etag) => etag.trim() === '*' || quoted(etag.trim()) === object.etag);

const isArchived = ({ storageClass }: StoredObject): boolean =>
  storageClass === 'GLACIER' || storageClass === 'DEEP_ARCHIVE';

function rangeOf(
  { content }: StoredObject,
  range: string | undefined,
  headers: Record<string, string>,
): S3Answer {
  const { size } = content;
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(range ?? '') ?? [];
  // A header that cannot be read counts for nothing.
  if (first === undefined || last === undefined || (first === '' && last === '')) {
    return { status: 200, headers, body: { content, start: 0, end: size } };
  }
  const start = first === '' ? Math.max(size - Number(last), 0) : Number(first);
  const end = first === '' || last === '' ? size : Math.min(Number(last) + 1, size);
  if (first !== '' && last !== '' && Number(last) < start) {
    return { status: 200, headers, body: { content, start: 0, end: size } };
  }
  if (start >= size) throw notSatisfiable(size);
  const contentRange = `bytes ${start}-${end - 1}/${size}`;
  return {
    status: 206,
    headers: { ...headers, 'content-range': contentRange },
    body: { content, start, end },
  };
}

/** PutObject. */
export async function putObject({ bucket, request, receive }: Call): Promise<S3Answer> {
  const { content, md5 } = await receive();
  const isTaken = bucket.find(request.key) !== undefined;
  if (request.headers['if-none-match'] === '*' && isTaken) {
    throw new S3Failure(412, 'PreconditionFailed', 'There is an object with this key.');
  }
  const contentType = request.headers['content-type'];
  const metadata = Object.fromEntries(
    Object.entries(request.headers).filter(([name]) => name.startsWith('x-amz-meta-')),
  );
  const options = { etag: md5, metadata, ...(contentType === undefined ? {} : { contentType }) };
  return { status: 200, headers: { etag: bucket.store(request.key, content, options).etag } };
}

/** DeleteObject. */
export async function deleteObject({ bucket, request }: Call): Promise<S3Answer> {
  bucket.remove(request.key);
  return { status: 204 };
}

/** DeleteObjects. */
export async function deleteObjects({ bucket, request, receive }: Call): Promise<S3Answer> {
  const names = Object.keys(request.headers);
  if (!names.some((name) => name === 'content-md5' || name.startsWith('x-amz-checksum-'))) {
    throw new S3Failure(400, 'InvalidRequest', 'Missing required header for this request: Content-MD5');
  }
  const xml = (await receive()).content.all().toString();
  const keys = elementsOf(xml, 'Object').map((object) => textOf(object, 'Key') ?? '');
  if (keys.length === 0 || keys.length > MAX_DELETED) {
    throw new S3Failure(400, 'MalformedXML', 'The XML names no object, or more than 1,000.');
  }
  for (const key of keys) bucket.remove(key);
  const isQuiet = textOf(xml, 'Quiet') === 'true';
  const deleted = keys.map((key) => `<Deleted>${element('Key', key)}</Deleted>`);
  return xmlAnswer('DeleteResult', isQuiet ? '' : deleted.join(''));
}

/** The ETag of an object that is not uploaded in parts, without quotes. */
export const md5Of = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

const archived = () =>
  new S3Failure(403, 'InvalidObjectState', "The operation is not valid for the object's storage class.");

const notSatisfiable = (size: number) =>
  new S3Failure(416, 'InvalidRange', 'The requested range is not satisfiable.', {
    headers: { 'content-range': `bytes */${size}` },
    details: { ActualObjectSize: String(size) },
  });
