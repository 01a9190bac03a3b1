import { Readable } from 'node:stream';
import type { GetObjectCommandInput, S3Client } from '@aws-sdk/client-s3';
import { guardBody } from './guarded-body.ts';
import type { HttpResponse } from './http-client.ts';
import { type HeaderReader, headerReader } from './http-headers.ts';
import { failureOf, type S3Failure } from './s3-errors.ts';
import { evenHeaders } from './s3-version.ts';

interface GetOptions {
  /** Of the service, for messages. */
  readonly service: URL;
  readonly stallTimeoutMs: number;
  readonly signal: AbortSignal;
}

/** What the request handler answers with. */
interface RawAnswer {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  /** A stream if it is an object; bytes of an error else. */
  readonly body: Readable | Uint8Array;
}

/** Statuses that tell of the object what was asked, and are no errors here, though they are to the SDK. */
const TELLING: ReadonlySet<number> = new Set([304, 412, 416]);

/**
 * Asks for an object, and gives the answer as it came, but for headers that make versions: those are even.
 * @throws what the SDK throws, unless the status is 304, 412 or 416.
 */
export async function getObject(
  client: S3Client,
  input: GetObjectCommandInput,
  { service, stallTimeoutMs, signal }: GetOptions,
): Promise<HttpResponse> {
  const { GetObjectCommand } = await import('@aws-sdk/client-s3');
  const command = new GetObjectCommand(input);
  let answered: RawAnswer | undefined;
  // Below the SDK's own reader of answers, which may fail on some header when the body is on its way already.
  command.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      // What the request handler gave is handed on as it is.
      answered = result.response as RawAnswer;
      return result;
    },
    { step: 'deserialize', priority: 'low', name: 'keepAnswer' },
  );
  try {
    await client.send(command, { abortSignal: signal });
  } catch (error) {
    const failure = failureOf(error);
    if (answered?.body instanceof Readable) answered.body.destroy();
    if (failure === null || !TELLING.has(failure.status)) throw error;
    return { ...NO_BODY, status: failure.status, url: service, header: evenHeaders(withRange(failure)) };
  }
  if (answered === undefined) throw new Error('The SDK answered without having asked.');
  const { statusCode, headers, body } = answered;
  return {
    status: statusCode,
    url: service,
    header: evenHeaders(headerReader(headers)),
    ...guardBody(body instanceof Readable ? body : Readable.from([body]), {
      host: service.hostname,
      stallTimeoutMs,
      signal,
    }),
  };
}

/** AWS tells the size in the body of a 416, where others send Content-Range as HTTP has it. */
function withRange(failure: S3Failure): HeaderReader {
  const size = failure.status === 416 ? failure.detail('ActualObjectSize') : undefined;
  return (name) =>
    failure.header(name) ?? (name === 'content-range' && size !== undefined ? `bytes */${size}` : undefined);
}

const NO_BODY: Pick<HttpResponse, 'body' | 'discard'> = {
  body: (async function* () {})(),
  discard() {},
};
