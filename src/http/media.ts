import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { MediaUrls } from '../services/media-urls.ts';
import type { VideoFile } from '../services/video-file.ts';
import { StorageError } from '../storage/adapter.ts';

export interface MediaOptions {
  readonly urls: Pick<MediaUrls, 'verify'>;
  /** The file of a team's video; null when there is none. */
  readonly find: (video: { readonly teamId: string; readonly videoId: string }) => Promise<VideoFile | null>;
}

/** Both ends inclusive, in bytes. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * GET and HEAD `/media/<token>/original/<name>`: the original file of the video that the token stands for, whole or in part
 * (RFC 9110, sections 13 and 14). 403 for a token that is not valid (any more), 404 for a video that is gone.
 */
export function registerMedia(server: FastifyInstance, { urls, find }: MediaOptions): void {
  server.route<{ Params: { token: string } }>({
    method: ['GET', 'HEAD'],
    url: '/media/:token/original/:name',
    handler: async (request, reply) => {
      const grant = urls.verify(request.params.token);
      if (grant === null)
        return refuse(reply, 403, 'This URL is not valid, or has expired. Ask the API for a new one.');
      const { teamId, videoId, expiresAt } = grant;
      const file = await find({ teamId, videoId });
      if (file === null) return refuse(reply, 404, 'There is no such video any more.');
      describe(reply, file, expiresAt);
      return send(request, reply, file);
    },
  });
}

function refuse(reply: FastifyReply, status: 403 | 404, message: string): FastifyReply {
  return reply.code(status).header('cache-control', 'no-store').send({ message });
}

function describe(reply: FastifyReply, file: VideoFile, expiresAt: Date): void {
  const maxAge = Math.max(0, Math.floor((expiresAt.getTime() - Date.now()) / 1000));
  reply.headers({
    'accept-ranges': 'bytes',
    'cache-control': `private, max-age=${maxAge}`,
    etag: etagOf(file),
    'content-disposition': contentDisposition(file.fileName),
    // What somebody uploaded is never to run as a page of this origin, whatever it turns out to be.
    'content-security-policy': "sandbox; default-src 'none'; media-src 'self'",
    'x-content-type-options': 'nosniff',
    // The URL is the permission: pages of other origins may show the video.
    'cross-origin-resource-policy': 'cross-origin',
    // It must not leak in a Referer, either.
    'referrer-policy': 'no-referrer',
  });
}

async function send(request: FastifyRequest, reply: FastifyReply, file: VideoFile): Promise<FastifyReply> {
  const { headers, method } = request;
  if (lists(headers['if-none-match'], etagOf(file))) return reply.code(304).send();
  reply.type(file.mimeType);
  // Ranges are defined for GET only (section 14.2).
  const range =
    method === 'GET' && holds(headers['if-range'], file) ? parseRange(headers.range, file.size) : null;
  if (range === 'UNSATISFIABLE') {
    return reply
      .code(416)
      .header('content-range', `bytes */${file.size}`)
      .header('cache-control', 'no-store')
      .send();
  }
  const { start, end } = range ?? { start: 0, end: file.size - 1 };
  const body = method === 'GET' ? await open(file, range) : null;
  if (body === 'GONE') return refuse(reply, 404, 'There is no such video any more.');
  if (range !== null) reply.code(206).header('content-range', `bytes ${start}-${end}/${file.size}`);
  return reply.header('content-length', end - start + 1).send(body ?? undefined);
}

/** Fastify closes the stream when the client goes away. */
async function open(file: VideoFile, range: Range | null): Promise<Readable | 'GONE'> {
  try {
    return await (range === null ? file.open() : file.open(range));
  } catch (error) {
    // Deleted since it was found.
    if (error instanceof StorageError && error.reason === 'NOT_FOUND') return 'GONE';
    throw error;
  }
}

const etagOf = ({ sha256 }: VideoFile) => `"${sha256}"`;

/** Whether an If-None-Match names this tag, by weak comparison (section 13.1.2). */
function lists(header: string | undefined, etag: string): boolean {
  return header?.split(',').some((tag) => ['*', etag, `W/${etag}`].includes(tag.trim())) ?? false;
}

/** If-Range compares strongly (section 13.1.5). We give no dates, so none of them can be ours. */
function holds(ifRange: string | string[] | undefined, file: VideoFile): boolean {
  return ifRange === undefined || ifRange === etagOf(file);
}

/**
 * A single range of bytes (section 14.1.2).
 * @returns null for what is to be ignored: no range, another unit, a malformed one, several ranges
 */
function parseRange(header: string | undefined, size: number): Range | 'UNSATISFIABLE' | null {
  const match = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(header ?? '');
  const [first, last] = [match?.[1] ?? '', match?.[2] ?? ''];
  if (first === '' && last === '') return null;
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? 'UNSATISFIABLE' : { start: size - length, end: size - 1 };
  }
  const [start, end] = [Number(first), last === '' ? Number.POSITIVE_INFINITY : Number(last)];
  if (end < start) return null;
  return start >= size ? 'UNSATISFIABLE' : { start, end: Math.min(end, size - 1) };
}

/** RFC 6266: a name in ASCII for the oldest clients, and the real one. Neither can end the header. */
function contentDisposition(fileName: string): string {
  const ascii = fileName.replace(/[^\x20-\x7e]|["\\%/]/g, '_');
  // RFC 8187 wants these encoded, too.
  const encoded = encodeURIComponent(fileName.toWellFormed()).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `inline; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}
