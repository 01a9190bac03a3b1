import type { ListObjectsV2CommandInput, ListObjectsV2CommandOutput, S3Client } from '@aws-sdk/client-s3';
import type { Logger } from 'pino';
import { STALL_TIMEOUT_MS } from './guarded-agent.ts';
import type { HttpResponse } from './http-client.ts';
import { getObject } from './s3-answer.ts';
import { clientConfig } from './s3-client-config.ts';
import { errorOfS3, failureOf, type S3Question } from './s3-errors.ts';
import { type S3Access, type S3Location, serviceOf } from './s3-location.ts';
import { createS3RequestHandler, type RequestHandlerOptions } from './s3-request-handler.ts';
import { tryAgain } from './try-again.ts';
import { untilAborted } from './until-aborted.ts';

export interface S3ConnectionOptions extends Pick<RequestHandlerOptions, 'agent'> {
  readonly log?: Logger | undefined;
  readonly location: S3Location;
  readonly credentials: S3Access;
  /** How long a body may stay below 1 KB/s. */
  readonly stallTimeoutMs?: number | undefined;
}

export interface GetObject {
  readonly key: string;
  /** The Range header; null: all of it. */
  readonly range: string | null;
  /** An ETag that it must have, in quotes, or the answer is a 412. */
  readonly ifMatch?: string | null;
  /** An ETag, in quotes, with which the answer is a 304. */
  readonly ifNoneMatch?: string | null;
}

/** The requests that are made of one bucket. */
export interface S3Connection {
  /**
   * Asks for a page of its listing, a few times if need be.
   * @throws {SourceError} also when it is no success in the end
   * @throws the reason of the signal, when it aborts.
   */
  list(
    page: Omit<ListObjectsV2CommandInput, 'Bucket'>,
    signal: AbortSignal,
  ): Promise<ListObjectsV2CommandOutput>;
  /**
   * Asks for an object or a part of it, once. Answers with 200, 206, 304, 412 or 416.
   * @throws {SourceError} for all others
   * @throws the reason of the signal, when it aborts.
   */
  get(object: GetObject, signal: AbortSignal): Promise<HttpResponse>;
  close(): void;
}

/** Makes a connection to a bucket; the SDK is loaded with its first request. */
export function createS3Connection(options: S3ConnectionOptions): S3Connection {
  const { location, credentials, stallTimeoutMs = STALL_TIMEOUT_MS } = options;
  const { bucket } = location;
  const service = serviceOf(location);
  const question = { bucket, host: service.hostname, isSigned: credentials !== 'ANONYMOUS' };
  let opened: Promise<S3Client> | undefined;

  async function openClient(): Promise<S3Client> {
    const { S3Client } = await import('@aws-sdk/client-s3');
    const requestHandler = createS3RequestHandler({ ...options, log: options.log, stallTimeoutMs });
    return new S3Client(clientConfig({ location, credentials, requestHandler }));
  }

  /** Sends a request; once more when the clocks differ, which the client has found out by then and allows for. */
  async function send<T>(request: (client: S3Client) => Promise<T>, signal: AbortSignal): Promise<T> {
    opened ??= openClient();
    const client = await opened;
    const once = () => untilAborted(request(client), signal);
    try {
      return await once();
    } catch (error) {
      if (failureOf(error)?.code !== 'RequestTimeTooSkewed') throw error;
      return await once();
    }
  }

  async function ask<T>(
    operation: S3Question['operation'],
    request: (client: S3Client) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    try {
      signal.throwIfAborted();
      return await send(request, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw errorOfS3(error, { ...question, operation }) ?? error;
    }
  }

  return {
    async list(page, signal) {
      const { ListObjectsV2Command } = await import('@aws-sdk/client-s3');
      const request = (client: S3Client) =>
        client.send(new ListObjectsV2Command({ ...page, Bucket: bucket }), { abortSignal: signal });
      return tryAgain(() => ask('LIST', request, signal), signal);
    },
    get({ key, range, ifMatch = null, ifNoneMatch = null }, signal) {
      const input = {
        Bucket: bucket,
        Key: key,
        ...(range === null ? {} : { Range: range }),
        ...(ifMatch === null ? {} : { IfMatch: ifMatch }),
        ...(ifNoneMatch === null ? {} : { IfNoneMatch: ifNoneMatch }),
      };
      const about = { service, stallTimeoutMs, signal };
      return ask('READ', (client) => getObject(client, input, about), signal);
    },
    close() {
      opened?.then((client) => client.destroy()).catch(() => {});
    },
  };
}
