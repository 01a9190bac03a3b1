import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { MediaFile } from '../services/media-files.ts';
import { StorageError } from '../storage/adapter.ts';
import { type BytePositions, parseRange } from './byte-range.ts';
import { dispositionOf, FILE_HEADERS, headersOf } from './media-headers.ts';
import { cutWhenStalled } from './stalled.ts';

/** A client that takes nothing for so long is cut, so that no file stays open for ever; a player asks for the rest again. */
const STALLED_MS = 5 * 60 * 1000;
/** Up to so many bytes are read at once and sent in one piece, which costs far less than a stream. */
const MAX_PIECE_BYTES = 256 * 1024;
/** For how long a browser may keep where it was sent. */
const MAX_REDIRECT_SECONDS = 60;

/** Takes back what was said of a file that is not sent after all. */
export function forgetFile(reply: FastifyReply): void {
  for (const name of FILE_HEADERS) reply.removeHeader(name);
}

/** Answers without a file: a sentence, which no cache keeps. */
export function refuse(reply: FastifyReply, status: number, message: string): FastifyReply {
  forgetFile(reply);
  return reply.code(status).headers({ 'cache-control': 'no-store' }).send({ message });
}

interface Answered {
  readonly file: MediaFile;
  /** When the URL expires. */
  readonly until: Date;
}

/**
 * Answers a GET or HEAD with a file, whole or a range of it, with where the store has it, or with what the conditions of the
 * request come to (RFC 9110).
 * @throws {StorageError} when the store cannot be read
 */
export async function answerWith(
  request: FastifyRequest,
  reply: FastifyReply,
  { file, until }: Answered,
): Promise<FastifyReply> {
  const tag = `"${file.tag}"`;
  const { 'if-match': match, 'if-none-match': noneMatch } = request.headers;
  reply.headers(headersOf(file, until));
  // A signature of the store is for GET only.
  const elsewhere =
    request.method === 'GET' ? await file.locate({ until, disposition: dispositionOf(file) }) : null;
  // A store knows the file by a tag of its own, and looks at that itself.
  if (match !== undefined && elsewhere === null && !hasTag(match, tag))
    return refuse(reply, 412, 'This is another file by now.');
  if (noneMatch !== undefined && hasTag(noneMatch.replaceAll('W/', ''), tag))
    return reply.code(304).removeHeader('content-type').removeHeader('content-disposition').send();
  if (elsewhere !== null) return sendElsewhere(reply, elsewhere, until);
  const range = parseRange(rangeOf(request, tag), file.size);
  if (range === 'unsatisfiable') {
    forgetFile(reply);
    reply.headers({ 'cache-control': 'no-store', 'content-range': `bytes */${file.size}` });
    return reply.code(416).send();
  }
  if (range !== 'whole')
    reply.code(206).header('content-range', `bytes ${range.start}-${range.end}/${file.size}`);
  if (request.method === 'HEAD') return reply.header('content-length', file.size).send();
  return await sendBytes(reply, file, range === 'whole' ? { start: 0, end: file.size - 1 } : range);
}

const hasTag = (header: string, tag: string): boolean =>
  header.split(',').some((given) => given.trim() === '*' || given.trim() === tag);

/** The Range header where it counts: for GET only, and with If-Range only for the very content that the client has a part of. */
function rangeOf({ method, headers }: FastifyRequest, tag: string): string | undefined {
  const condition = headers['if-range'];
  return method === 'GET' && (condition === undefined || condition === tag) ? headers.range : undefined;
}

function sendElsewhere(reply: FastifyReply, location: string, until: Date): FastifyReply {
  const seconds = Math.floor((until.getTime() - Date.now()) / 1000);
  forgetFile(reply);
  return reply
    .code(302)
    .headers({
      'cache-control': `private, max-age=${Math.max(0, Math.min(seconds, MAX_REDIRECT_SECONDS))}`,
      location,
    })
    .send();
}

async function sendBytes(
  reply: FastifyReply,
  file: MediaFile,
  { start, end }: BytePositions,
): Promise<FastifyReply> {
  const length = end - start + 1;
  let bytes: Readable;
  try {
    bytes = await file.open(length === file.size ? undefined : { start, end });
  } catch (error) {
    if (!(error instanceof StorageError) || error.reason !== 'NOT_FOUND') throw error;
    return refuse(reply, 404, 'This video is gone.');
  }
  if (length <= MAX_PIECE_BYTES) {
    const piece = await buffer(bytes);
    if (piece.length !== length)
      throw new StorageError('UNAVAILABLE', 'The store did not send all of a file.');
    return reply.send(piece);
  }
  // A client that went away while the file was being opened: nothing else would close it.
  if (reply.raw.destroyed) bytes.destroy();
  cutWhenStalled(reply.raw, STALLED_MS);
  return reply.header('content-length', length).send(bytes);
}
