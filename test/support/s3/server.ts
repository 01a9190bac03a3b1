import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Mishap, type S3Answer, sendAnswer } from './answer.ts';
import type { Bucket } from './bucket.ts';
import { errorXml, noSuchBucket, S3Failure } from './failure.ts';
import { type Head, type OpenRequest, readHead } from './head.ts';
import { PUBLIC_OPERATIONS, serve } from './operations.ts';
import { receiveBody } from './receive.ts';
import { type Credentials, verifySignature } from './signature.ts';
import type { S3Quirks, S3Request, Scripted, ScriptedAnswer } from './types.ts';

/** The region that requests reach which are sent to no region in particular. */
const HOME_REGION = 'us-east-1';

/** What the server looks at with every request; the test may change it in between. */
export interface ServerState {
  readonly credentials: Credentials;
  /** The names under which the store is reached, for buckets in the Host header. */
  readonly hosts: readonly string[];
  readonly buckets: ReadonlyMap<string, Bucket>;
  readonly quirks: S3Quirks;
  /** For bodies. */
  readonly folder: string;
  readonly requests: S3Request[];
  scriptedFor(request: S3Request): Scripted | undefined;
  maxKeys(): number;
  latencyMs(): number;
}

/** Serves one request; resolves when it is over, and never fails. */
export async function handleRequest(
  incoming: IncomingMessage,
  response: ServerResponse,
  state: ServerState,
): Promise<void> {
  const head = readHead(incoming, state.hosts);
  if (head === null) return void response.writeHead(400).end();
  const { request } = head;
  state.requests.push(request);
  const gone = new AbortController();
  response.once('close', () => {
    request.endedAt = new Date();
    gone.abort();
  });
  // Both end with an error when the other side goes away, which is none here.
  incoming.on('error', () => undefined);
  response.on('error', () => undefined);
  try {
    await follow({ incoming, response, head, state, signal: gone.signal });
  } catch (error) {
    if (gone.signal.aborted || incoming.destroyed) return;
    const message = `The double failed: ${error instanceof Error ? error.stack : String(error)}`;
    await sendAnswer(response, request, {
      answer: errorAnswer(new S3Failure(500, 'InternalError', message)),
    });
  }
}

interface Exchange {
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: Head;
  readonly state: ServerState;
  /** Aborts when the connection is gone. */
  readonly signal: AbortSignal;
}

/** Does what the test's script says, and serves the request otherwise. */
async function follow(exchange: Exchange): Promise<void> {
  const { incoming, response, head, state, signal } = exchange;
  const scripted = state.scriptedFor(head.request);
  if (scripted === 'reset') return void response.socket?.resetAndDestroy();
  if (scripted !== undefined && 'hang' in scripted) return;
  const waitMs = state.latencyMs() + (scripted !== undefined && 'delayMs' in scripted ? scripted.delayMs : 0);
  if (waitMs > 0) await sleep(waitMs, undefined, { signal });
  const isAnswer = scripted !== undefined && 'status' in scripted;
  const answer = isAnswer ? scriptedAnswer(scripted) : await answerOf(exchange);
  await drain(incoming, head.request);
  if (scripted !== undefined && 'loseAnswer' in scripted) return void response.socket?.resetAndDestroy();
  await sendAnswer(response, head.request, { answer, mishap: mishapOf(scripted) });
}

function mishapOf(scripted: Scripted | undefined): Mishap | undefined {
  if (scripted === undefined || scripted === 'reset') return undefined;
  if ('cutAfterBytes' in scripted) return { kind: 'CUT', afterBytes: scripted.cutAfterBytes };
  return 'stallAfterBytes' in scripted ? { kind: 'STALL', afterBytes: scripted.stallAfterBytes } : undefined;
}

function scriptedAnswer({ status, code, message, headers, retryAfter, body }: ScriptedAnswer): S3Answer {
  const error = code === undefined ? undefined : errorXml(code, message ?? `Scripted: ${code}`);
  const text = body ?? error;
  return {
    status,
    headers: {
      ...(text === undefined ? {} : { 'content-type': 'application/xml' }),
      ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }),
      ...headers,
    },
    ...(text === undefined ? {} : { body: text }),
  };
}

async function answerOf({ incoming, head, state }: Exchange): Promise<S3Answer> {
  const { request } = head;
  try {
    const bucket = authorised(head, state);
    const receive = () => receiveBody(incoming, request, state.folder);
    return await serve({ bucket, request, quirks: state.quirks, maxKeys: state.maxKeys(), receive });
  } catch (error) {
    if (error instanceof S3Failure) return errorAnswer(error);
    throw error;
  }
}

/** The bucket of a request that may do what it asks for. @throws {S3Failure} */
function authorised({ request, path }: Head, { buckets, credentials }: ServerState): Bucket {
  const bucket = buckets.get(request.bucket);
  if (request.signed) verifySignature({ ...request, path }, credentials, bucket?.region);
  if (bucket === undefined) throw noSuchBucket(request.bucket);
  if (request.signed) return bucket;
  if (bucket.region !== HOME_REGION) throw elsewhere(bucket);
  if (!bucket.isPublic || !PUBLIC_OPERATIONS.has(request.operation)) {
    throw new S3Failure(403, 'AccessDenied', 'Access Denied');
  }
  return bucket;
}

/** An answer before the whole body came would make clients that still write see a broken connection. */
async function drain(incoming: IncomingMessage, request: OpenRequest): Promise<void> {
  if (incoming.readableEnded || incoming.destroyed) return;
  for await (const chunk of incoming) request.bytesReceived += (chunk as Buffer).length;
}

const errorAnswer = ({ status, code, message, options }: S3Failure): S3Answer => ({
  status,
  headers: { 'content-type': 'application/xml', ...options.headers },
  body: errorXml(code, message, options.details),
});

const elsewhere = (bucket: Bucket) =>
  new S3Failure(301, 'PermanentRedirect', 'The bucket must be addressed using another endpoint.', {
    headers: { 'x-amz-bucket-region': bucket.region },
    details: { Bucket: bucket.name, Endpoint: `${bucket.name}.s3.${bucket.region}.amazonaws.com` },
  });
