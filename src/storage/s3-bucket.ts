import type { S3, S3ClientConfig } from '@aws-sdk/client-s3';
import { toS3Error } from './s3-errors.ts';

/** Tries of one request, the first included; the client waits longer before each. */
const MAX_ATTEMPTS = 4;
const CONNECT_MS = 10_000;
/** Viewers that read slowly hold a connection each. */
const MAX_SOCKETS = 512;

/** Where the objects are. */
export interface S3Place {
  readonly bucket: string;
  /** What all keys begin with, without a slash at its ends; empty for none. */
  readonly prefix: string;
  /** Unless given, what the environment or the profile says; with an endpoint us-east-1. */
  readonly region?: string | undefined;
  /** Unless given, AWS. */
  readonly endpoint?: string | undefined;
  /** Whether the bucket is named in the path and not in the host; unless given, with an endpoint only. */
  readonly pathStyle?: boolean | undefined;
}

/** The bucket that a storage keeps its objects in. */
export interface S3Bucket {
  readonly name: string;
  /** The name of a key in the bucket. */
  nameOf(key: string): string;
  /** The key of a name in the bucket; null for a name that is not below our prefix. */
  keyOf(name: string): string | null;
  /** Asks the store. What it cannot do comes as a StorageError; `operation` names it there. */
  call<T>(operation: string, ask: (s3: S3) => Promise<T>): Promise<T>;
}

/**
 * Makes the access to a bucket. Nothing is loaded or asked before the first call; the credentials are those that the
 * AWS tools would find.
 * @param options.idleSeconds after how long without a byte a connection is given up
 */
export function createS3Bucket(place: S3Place, { idleSeconds }: { readonly idleSeconds: number }): S3Bucket {
  const { bucket: name, prefix, endpoint } = place;
  const base = prefix === '' ? '' : `${prefix}/`;
  const where = endpoint === undefined ? 'Amazon S3' : new URL(endpoint).host;
  let client: Promise<S3> | undefined;
  return {
    name,
    nameOf: (key) => base + key,
    keyOf: (objectName) => (objectName.startsWith(base) ? objectName.slice(base.length) : null),
    async call(operation, ask) {
      try {
        client ??= openClient(place, idleSeconds);
        return await ask(await client);
      } catch (error) {
        throw toS3Error(error, { bucket: name, where, operation });
      }
    },
  };
}

async function openClient(place: S3Place, idleSeconds: number): Promise<S3> {
  // It takes a while to load, which only those should wait for who need it.
  const { S3 } = await import('@aws-sdk/client-s3');
  return new S3(clientConfig(place, idleSeconds));
}

/** How a client of the AWS SDK is set up for a place. */
export function clientConfig({ region, endpoint, pathStyle }: S3Place, idleSeconds: number): S3ClientConfig {
  const usedRegion = region ?? (endpoint === undefined ? undefined : 'us-east-1');
  return {
    ...(usedRegion === undefined ? {} : { region: usedRegion }),
    ...(endpoint === undefined ? {} : { endpoint }),
    forcePathStyle: pathStyle ?? endpoint !== undefined,
    maxAttempts: MAX_ATTEMPTS,
    retryMode: 'standard',
    // Checksums that nobody asked for are unknown to many stores.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      socketTimeout: idleSeconds * 1000,
      httpAgent: { maxSockets: MAX_SOCKETS },
      httpsAgent: { maxSockets: MAX_SOCKETS },
    },
  };
}
