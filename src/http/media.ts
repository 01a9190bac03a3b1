import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { MediaGrant, MediaUrls } from '../services/media-urls.ts';
import type { VideoFile } from '../services/video-file.ts';
import { StorageError } from '../storage/adapter.ts';
import { parseRange } from './byte-range.ts';

export interface MediaOptions {
  readonly urls: Pick<MediaUrls, 'verify'>;
  readonly find: (video: { readonly teamId: string; readonly videoId: string }) => Promise<VideoFile | null>;
}

/**
 * GET and HEAD /media/:token/original/:name: a video's original file, whole or a range of it (RFC 9110). The token in the path is
 * all that is needed; a wrong or expired one is answered with 403, one whose video is gone with 404. The name is not read.
 */
export function registerMedia(server: FastifyInstance, { urls, find }: MediaOptions): void {
  server.route<{ Params: { token: string } }>({
    method: ['GET', 'HEAD'],
    exposeHeadRoute: false,
    url: '/media/:token/original/:name',
    handler: async (request, reply) => {
      const grant = urls.verify(request.params.token);
      if (grant === null) return refuse(reply, 403, 'This URL is not valid, or no longer.');
      const file = await find({ teamId: grant.teamId, videoId: grant.videoId });
      if (file === null) return refuse(reply, 404, 'This video is gone.');
      reply.headers(headersOf(file, grant));
      return await answer(request, reply, file);
    },
  });
}

const refuse = (reply: FastifyReply, status: number, message: string) =>
  reply.code(status).headers({ 'cache-control': 'no-store' }).send({ message });

async function answer(request: FastifyRequest, reply: FastifyReply, file: VideoFile): Promise<FastifyReply> {
  const tag = `"${file.sha256}"`;
  const { 'if-match': match, 'if-none-match': noneMatch } = request.headers;
  if (match !== undefined && !tagsOf(match).some((given) => given === '*' || given === tag))
    return reply.code(412).send();
  if (noneMatch !== undefined && tagsOf(noneMatch).some((given) => given === '*' || weak(given) === tag))
    return reply.code(304).removeHeader('content-type').send();
  const range = parseRange(rangeOf(request, tag), file.size);
  if (range === 'unsatisfiable') {
    reply.header('content-range', `bytes */${file.size}`).header('cache-control', 'no-store');
    return reply.code(416).removeHeader('content-disposition').removeHeader('etag').send();
  }
  const length = range === 'whole' ? file.size : range.end - range.start + 1;
  if (range !== 'whole')
    reply.code(206).header('content-range', `bytes ${range.start}-${range.end}/${file.size}`);
  reply.header('content-length', length);
  if (request.method === 'HEAD') return reply.send();
  return await sendBytes(reply, file, range === 'whole' ? undefined : range);
}

async function sendBytes(
  reply: FastifyReply,
  file: VideoFile,
  range: { readonly start: number; readonly end: number } | undefined,
): Promise<FastifyReply> {
  try {
    const bytes = await file.open(range);
    // A client that went away while the file was being opened: nothing else would close it.
    if (reply.raw.destroyed) bytes.destroy();
    return reply.send(bytes);
  } catch (error) {
    if (!(error instanceof StorageError) || error.reason !== 'NOT_FOUND') throw error;
    for (const name of ['content-type', 'content-length', 'content-range', 'content-disposition', 'etag']) {
      reply.removeHeader(name);
    }
    return refuse(reply, 404, 'This video is gone.');
  }
}

/** The Range header where it counts: for GET only, and with If-Range only for the very content that the client has a part of. */
function rangeOf({ method, headers }: FastifyRequest, tag: string): string | undefined {
  const condition = headers['if-range'];
  return method === 'GET' && (condition === undefined || condition === tag) ? headers.range : undefined;
}

const tagsOf = (header: string) => header.split(',').map((tag) => tag.trim());
const weak = (tag: string) => tag.replace(/^W\//, '');

function headersOf(file: VideoFile, { expiresAt }: MediaGrant): Record<string, string | number> {
  const seconds = Math.max(0, Math.floor((expiresAt.getTime() - Date.now()) / 1000));
  return {
    'accept-ranges': 'bytes',
    'cache-control': `private, max-age=${seconds}`,
    'content-disposition': inline(file.fileName),
    // It is a stranger's file: whatever it says it is, no browser may run anything of it.
    'content-security-policy': "sandbox; default-src 'none'; media-src 'self'; style-src 'unsafe-inline'",
    'content-type': /^(video|audio)\/[\w.+-]+$/.test(file.mimeType)
      ? file.mimeType
      : 'application/octet-stream',
    // The token decides who may have it, so a page of any origin that has one may play it.
    'cross-origin-resource-policy': 'cross-origin',
    etag: `"${file.sha256}"`,
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  };
}

/** Content-Disposition (RFC 6266): an ASCII name for old clients, the real one encoded as RFC 8187 says. */
function inline(fileName: string): string {
  const ascii = fileName.replace(/[^\x20-\x7e]|["\\%]/g, '_');
  const encoded = encodeURIComponent(fileName.toWellFormed()).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `inline; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}
