import type { IncomingMessage } from 'node:http';
import type { S3Operation, S3Request } from './types.ts';

/** A request of the record that is being served. */
export type OpenRequest = { -readonly [Name in keyof S3Request]: S3Request[Name] };

/** The head of a request, as it is read and as it is signed. */
export interface Head {
  readonly request: OpenRequest;
  /** As it came, decoded; with the bucket only if that is in the path. */
  readonly path: string;
}

/**
 * Reads the head of a request.
 * @param hosts the names of the store itself: what a Host header has before one of them is the bucket
 * @returns null if its target is encoded wrongly
 */
export function readHead(incoming: IncomingMessage, hosts: readonly string[]): Head | null {
  const target = incoming.url ?? '/';
  if (!isDecodable(target)) return null;
  const queryAt = target.indexOf('?');
  // Not by `new URL`, which would take the dots of a key like `../a` for a way up.
  const path = decodeURIComponent(queryAt < 0 ? target : target.slice(0, queryAt));
  const query = parseQuery(queryAt < 0 ? '' : target.slice(queryAt + 1));
  const headers = flatten(incoming.headers);
  const { bucket, key } = placeOf(path, headers.host ?? '', hosts);
  const method = incoming.method ?? '';
  const request: OpenRequest = {
    operation: operationOf({
      method,
      bucket,
      key,
      query,
      isCopy: headers['x-amz-copy-source'] !== undefined,
    }),
    method,
    bucket,
    key,
    query,
    headers,
    status: 0,
    bytesSent: 0,
    bytesReceived: 0,
    signed: headers.authorization !== undefined,
    at: new Date(),
    endedAt: null,
  };
  return { request, path };
}

function isDecodable(target: string): boolean {
  try {
    decodeURIComponent(target);
    return true;
  } catch {
    return false;
  }
}

/** Unlike URLSearchParams of a text, S3 does not take a plus for a space. */
function parseQuery(text: string): URLSearchParams {
  const pairs = text.split('&').filter((pair) => pair !== '');
  return new URLSearchParams(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      const [name, value] = at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
      return [decodeURIComponent(name), decodeURIComponent(value)];
    }),
  );
}

function flatten(headers: IncomingMessage['headers']): Record<string, string> {
  const entries = Object.entries(headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join(',') : value,
  ]);
  return Object.fromEntries(entries);
}

function placeOf(path: string, host: string, hosts: readonly string[]) {
  const name = host.replace(/:\d+$/, '');
  const own = hosts.find((candidate) => name.endsWith(`.${candidate}`));
  if (own !== undefined) return { bucket: name.slice(0, -own.length - 1), key: path.slice(1) };
  const at = path.indexOf('/', 1);
  return at < 0 ? { bucket: path.slice(1), key: '' } : { bucket: path.slice(1, at), key: path.slice(at + 1) };
}

type Asked = Pick<S3Request, 'method' | 'bucket' | 'key' | 'query'> & { readonly isCopy: boolean };

function operationOf(asked: Asked): S3Operation {
  if (asked.bucket === '') return 'Unknown';
  return asked.key === '' ? bucketOperationOf(asked) : objectOperationOf(asked);
}

function bucketOperationOf({ method, query }: Asked): S3Operation {
  if (method === 'HEAD') return 'HeadBucket';
  if (method === 'GET' && query.get('list-type') === '2') return 'ListObjectsV2';
  if (method === 'GET' && query.has('uploads')) return 'ListMultipartUploads';
  if (method === 'POST' && query.has('delete')) return 'DeleteObjects';
  return 'Unknown';
}

function objectOperationOf({ method, query, isCopy }: Asked): S3Operation {
  if (query.has('uploadId')) {
    if (method === 'PUT') return isCopy ? 'UploadPartCopy' : 'UploadPart';
    if (method === 'POST') return 'CompleteMultipartUpload';
    if (method === 'DELETE') return 'AbortMultipartUpload';
    return method === 'GET' ? 'ListParts' : 'Unknown';
  }
  if (method === 'POST') return query.has('uploads') ? 'CreateMultipartUpload' : 'Unknown';
  if (method === 'PUT' && isCopy) return 'CopyObject';
  const plain = { GET: 'GetObject', HEAD: 'HeadObject', PUT: 'PutObject', DELETE: 'DeleteObject' } as const;
  return Object.hasOwn(plain, method) ? plain[method as keyof typeof plain] : 'Unknown';
}
