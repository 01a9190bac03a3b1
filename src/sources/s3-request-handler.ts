import type { Logger } from 'pino';
import type { Dispatcher } from 'undici';
import { guardBody } from './guarded-body.ts';
import { retryStaleConnection } from './http-client.ts';
import { errorOfNetwork, unavailable } from './http-errors.ts';
import { noS3 } from './s3-errors.ts';

/** A page of 1,000 keys of 1,024 bytes each, all of them percent-encoded and then some, in bytes. */
const MAX_PAGE_BYTES = 16 * 1024 * 1024;

/** An error in XML, in bytes. */
const MAX_ERROR_BYTES = 256 * 1024;

export interface RequestHandlerOptions {
  /** Connects only to what may be reached, and follows no redirects. */
  readonly agent: Dispatcher;
  readonly stallTimeoutMs: number;
  readonly log: Logger | undefined;
}

/** What the SDK hands over to be sent; it exports no type of it. */
interface SignedRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  /** Encoded already. It must be sent as it is: what dots and double slashes stand for is up to the store. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Sends the requests of an S3 client through the guarded agent. The answer's body is the connection's stream where it is
 * an object, and else has been read, so that a store can neither stall it nor make it larger than it should be.
 * Fails with SourceError, or with the reason of the signal.
 */
export function createS3RequestHandler({ agent, stallTimeoutMs, log }: RequestHandlerOptions) {
  async function send(request: SignedRequest, signal: AbortSignal) {
    const host = request.hostname;
    const answer = await retryStaleConnection(() =>
      agent.request({
        origin: originOf(request),
        path: pathOf(request),
        method: request.method === 'HEAD' ? 'HEAD' : 'GET',
        headers: { ...request.headers, 'accept-encoding': 'identity' },
        signal,
      }),
    );
    // It may fail before anybody reads it: whoever does is told.
    answer.body.on('error', () => {});
    log?.debug({ host, status: answer.statusCode }, 'source answered');
    const isPage = 'list-type' in (request.query ?? {});
    const isSuccess = answer.statusCode < 300;
    if (isSuccess && !isPage) return toAnswer(answer, answer.body);
    const body = await readWhole(guardBody(answer.body, { host, stallTimeoutMs, signal }), {
      host,
      maxBytes: isPage ? MAX_PAGE_BYTES : MAX_ERROR_BYTES,
    });
    if (isSuccess && !isList(body)) throw noS3({ host });
    return toAnswer(answer, body);
  }

  return {
    async handle(request: SignedRequest, { abortSignal }: { readonly abortSignal: AbortSignal }) {
      try {
        abortSignal.throwIfAborted();
        return await send(request, abortSignal);
      } catch (error) {
        abortSignal.throwIfAborted();
        const told = errorOfNetwork(error, request.hostname);
        log?.debug({ host: request.hostname, code: told.code, cause: told.cause }, 'source did not answer');
        throw told;
      }
    },
    /** The agent is shared: it is not for this client to end it. */
    destroy() {},
  };
}

async function readWhole(
  { body, discard }: ReturnType<typeof guardBody>,
  { host, maxBytes }: { readonly host: string; readonly maxBytes: number },
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of body) {
      length += chunk.length;
      if (length > maxBytes)
        throw unavailable(`${host} sent more than an answer of S3 can have; check the endpoint.`);
      chunks.push(chunk);
    }
  } finally {
    discard();
  }
  return Buffer.concat(chunks, length);
}

/** Whether a body says that it is a list: the SDK takes any other XML for an empty one. AWS may send an error with a 200. */
function isList(body: Buffer): boolean {
  return (
    /<(\w+:)?ListBucketResult[\s/>]/.test(body.toString('latin1', 0, 4096)) ||
    body.subarray(-100).toString('latin1').trimEnd().endsWith('</Error>')
  );
}

const toAnswer = <T>({ statusCode, headers }: Dispatcher.ResponseData, body: T) => ({
  response: { statusCode, headers: flat(headers), body },
});

const originOf = ({ protocol, hostname, port }: SignedRequest): string =>
  `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}`;

function pathOf({ path, query = {} }: SignedRequest): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    value === null ? [encode(name)] : [value].flat().map((text) => `${encode(name)}=${encode(text)}`),
  );
  return pairs.length === 0 ? path : `${path}?${pairs.join('&')}`;
}

/** Encodes just what the signature has encoded. */
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/** One value for each header: the first. */
const flat = (headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => {
      const text = Array.isArray(value) ? value[0] : value;
      return text === undefined ? [] : [[name, text]];
    }),
  );
