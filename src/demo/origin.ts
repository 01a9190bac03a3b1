import { realpath, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, extname, join } from 'node:path';
import { parseRange } from './byte-range.ts';
import { sendBody } from './paced-body.ts';

/** A server on this machine that hands out the files of one folder. */
export interface Origin {
  readonly folder: string;
  /** Its address as SLUICE_ALLOW_ADDRESSES takes it, for instance 127.0.0.1/32:41234. */
  readonly allowAddress: string;
  /** The URL of a file of the folder, which may not be there. */
  url(fileName: string): string;
  close(): Promise<void>;
}

/** How an origin answers. */
export interface OriginOptions {
  /** Bytes a second of one answer's body; as fast as it goes unless given. */
  readonly bytesPerSecond?: number;
}

const TYPES: Readonly<Record<string, string>> = {
  '.mp4': 'video/mp4',
  '.m4v': 'video/x-m4v',
  '.mov': 'video/quicktime',
  '.mkv': 'video/x-matroska',
  '.webm': 'video/webm',
  '.avi': 'video/x-msvideo',
  '.ts': 'video/mp2t',
};

/**
 * Starts serving a folder on a free port of 127.0.0.1: GET and HEAD, byte ranges (RFC 9110, section 14), strong
 * ETags, If-Range. Anything but a file directly in the folder is a 404.
 */
export async function startOrigin(folder: string, options: OriginOptions = {}): Promise<Origin> {
  const root = await realpath(folder);
  const server = createServer((request, response) => {
    serve(request, response, { root, ...options }).catch((error: unknown) =>
      response.destroy(error as Error),
    ); // ends this answer alone
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo; // not a pipe: it listens on a port
  return {
    folder: root,
    allowAddress: `127.0.0.1/32:${port}`,
    url: (fileName) => `http://127.0.0.1:${port}/${encodeURIComponent(fileName)}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  options: OriginOptions & { readonly root: string },
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD' }).end();
    return;
  }
  const path = filePath(request.url ?? '/', options.root);
  const file = path === null ? null : await stat(path).catch(() => null);
  if (path === null || !file?.isFile()) {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('There is no such file.\n');
    return;
  }
  const etag = `"${file.size.toString(16)}-${Math.trunc(file.mtimeMs * 1000).toString(16)}"`;
  response.setHeader('accept-ranges', 'bytes');
  response.setHeader('etag', etag);
  response.setHeader('last-modified', file.mtime.toUTCString());
  response.setHeader('content-type', TYPES[extname(path)] ?? 'application/octet-stream');
  const condition = request.headers['if-range'];
  const wanted = condition === undefined || condition === etag ? request.headers.range : undefined;
  const range = parseRange(wanted, file.size);
  if (range === 'unsatisfiable') {
    response.writeHead(416, { 'content-range': `bytes */${file.size}`, 'content-length': 0 }).end();
    return;
  }
  const { start, end } = range === 'all' ? { start: 0, end: file.size - 1 } : range;
  if (range !== 'all') response.setHeader('content-range', `bytes ${start}-${end}/${file.size}`);
  response.writeHead(range === 'all' ? 200 : 206, { 'content-length': end - start + 1 });
  if (request.method === 'HEAD' || file.size === 0) response.end();
  else await sendBody(path, { start, end }, { response, ...options });
}

/** The file that a URL's path names: only ever one directly below the root. */
function filePath(url: string, root: string): string | null {
  try {
    const name = decodeURIComponent(new URL(url, 'http://origin.invalid').pathname.slice(1));
    return name === '' || name.startsWith('.') || name.includes('\0') || basename(name) !== name
      ? null
      : join(root, name);
  } catch {
    return null;
  }
}
