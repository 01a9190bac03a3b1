import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Content } from './content.ts';
import type { OpenRequest } from './head.ts';
import { documentOf } from './xml.ts';

/** An answer to a request. */
export interface S3Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A text, or a part of some bytes. */
  readonly body?: string | { readonly content: Content; readonly start: number; readonly end: number };
}

/** What goes wrong with an answer on purpose, after so many bytes of its body. */
export interface Mishap {
  readonly afterBytes: number;
  readonly kind: 'CUT' | 'STALL';
}

export const xmlAnswer = (root: string, inner: string): S3Answer => ({
  status: 200,
  headers: { 'content-type': 'application/xml' },
  body: documentOf(root, inner),
});

/** Sends an answer, as fast as the other side takes it; resolves when it is sent or the other side is gone. */
export async function sendAnswer(
  response: ServerResponse,
  request: OpenRequest,
  { answer, mishap }: { readonly answer: S3Answer; readonly mishap?: Mishap | undefined },
): Promise<void> {
  if (response.destroyed) return;
  const isHead = request.method === 'HEAD';
  const { length, chunks } = bodyOf(answer);
  const hasLength = answer.status !== 204 && answer.status !== 304;
  request.status = answer.status;
  response.writeHead(answer.status, {
    'x-amz-request-id': '4442587FB7D0A2F9',
    // Of an error, HEAD gets none of the body that GET would: S3 does not tell its length either.
    ...(hasLength && !(isHead && answer.status >= 300) ? { 'content-length': String(length) } : {}),
    ...answer.headers,
  });
  response.flushHeaders();
  if (!isHead && !(await sendBody(response, request, { chunks, mishap }))) return;
  response.end();
}

interface Body {
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly mishap: Mishap | undefined;
}

/** @returns whether the answer is still to be ended. */
async function sendBody(
  response: ServerResponse,
  request: OpenRequest,
  { chunks, mishap }: Body,
): Promise<boolean> {
  const closed = new AbortController();
  response.once('close', () => closed.abort());
  let left = mishap?.afterBytes ?? Number.POSITIVE_INFINITY;
  for await (const chunk of chunks) {
    const sent = chunk.length > left ? chunk.subarray(0, left) : chunk;
    if (response.destroyed) return false;
    const goesOn = response.write(sent);
    request.bytesSent += sent.length;
    left -= sent.length;
    if (sent.length < chunk.length) break;
    if (!goesOn && !(await isDrained(response, closed.signal))) return false;
  }
  if (mishap === undefined || left > 0) return true;
  // What was written is to arrive first.
  await new Promise((resolve) => response.write('', resolve));
  if (mishap.kind === 'CUT') response.socket?.destroy();
  return false;
}

/** False if the connection is gone instead. */
async function isDrained(response: ServerResponse, signal: AbortSignal): Promise<boolean> {
  if (response.destroyed || signal.aborted) return false;
  return once(response, 'drain', { signal }).then(
    () => true,
    () => false,
  );
}

function bodyOf({ body }: S3Answer): { readonly length: number; readonly chunks: AsyncIterable<Uint8Array> } {
  if (body === undefined) return { length: 0, chunks: one(Buffer.alloc(0)) };
  if (typeof body === 'string') return { length: Buffer.byteLength(body), chunks: one(Buffer.from(body)) };
  return { length: body.end - body.start, chunks: body.content.read(body.start, body.end) };
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}
