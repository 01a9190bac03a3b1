import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bucket, createBucket } from './s3/bucket.ts';
import { bytesContent } from './s3/content.ts';
import { md5Of } from './s3/objects.ts';
import { handleRequest } from './s3/server.ts';
import type { S3Double, S3Quirks, S3Request, Scripted } from './s3/types.ts';
import { partsOf } from './s3/uploads.ts';

export type {
  S3Double,
  S3Quirks,
  S3Request,
  Scripted,
  ScriptedAnswer,
} from './s3/types.ts';

export interface StartS3Options {
  readonly latencyMs?: number;
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  /** An address to listen on, or the name that the endpoint has, on 127.0.0.1; 127.0.0.1 unless given. */
  readonly host?: string;
}

/** Starts a store without buckets, on a free port of the loopback. */
export async function startS3(options: StartS3Options = {}): Promise<S3Double> {
  const credentials = {
    accessKeyId: options.accessKeyId ?? 'AKIADOUBLEDOUBLE0001',
    secretAccessKey: options.secretAccessKey ?? 'double/secret+that=nobody/may/ever/print',
  };
  const host = options.host ?? '127.0.0.1';
  const folder = await mkdtemp(join(tmpdir(), 'sluice-s3-'));
  const buckets = new Map<string, Bucket>();
  const scripts = new Set<(request: S3Request) => Scripted | undefined>();
  const requests: S3Request[] = [];
  const quirks: S3Quirks = {};

  const server = createServer((incoming, response) => {
    void handleRequest(incoming, response, {
      credentials,
      hosts: [host, 'localhost', '127.0.0.1'],
      buckets,
      quirks,
      folder,
      requests,
      scriptedFor: (request) => firstAnswer([...scripts].reverse(), request),
      maxKeys: () => double.maxKeys,
      latencyMs: () => double.latencyMs,
    });
  });
  // A client that reuses a connection must not meet its end: only a script may reset one.
  server.keepAliveTimeout = 0;
  server.listen(0, isIP(host) === 0 ? '127.0.0.1' : host);
  await once(server, 'listening');
  // A server that listens on a port has an address of this kind.
  const { port } = server.address() as AddressInfo;

  function bucketOf(name: string): Bucket {
    const bucket = buckets.get(name);
    if (bucket === undefined) throw new Error(`the double has no bucket "${name}": create it first`);
    return bucket;
  }

  const double: S3Double = {
    endpoint: `http://${isIP(host) === 6 ? `[${host}]` : host}:${port}`,
    ...credentials,
    requests,
    quirks,
    latencyMs: options.latencyMs ?? 0,
    maxKeys: 1000,
    createBucket(name, bucketOptions) {
      buckets.set(name, createBucket(name, bucketOptions));
    },
    put(bucket, key, body, putOptions = {}) {
      const bytes = Buffer.from(body);
      const { etag } = bucketOf(bucket).store(key, bytesContent(bytes), {
        etag: md5Of(bytes),
        ...putOptions,
      });
      return { etag };
    },
    fill: (bucket, count, at) => bucketOf(bucket).fill(count, at),
    remove: (bucket, key) => bucketOf(bucket).remove(key),
    has: (bucket, key) => bucketOf(bucket).find(key) !== undefined,
    read(bucket, key) {
      const object = bucketOf(bucket).find(key);
      if (object === undefined) throw new Error(`the double has no object "${key}" in "${bucket}"`);
      return object.content.all();
    },
    keys: (bucket) => Array.from(bucketOf(bucket).walk(null, ''), ({ key }) => key),
    uploads: (bucket) =>
      bucketOf(bucket)
        .uploads.all()
        .map((upload) => ({
          key: upload.key,
          uploadId: upload.uploadId,
          initiated: upload.initiated,
          parts: partsOf(upload).map(({ number, content }) => ({ number, size: content.size })),
        })),
    script(handle) {
      // One of its own each, so that the same function may be added twice.
      const entry = (request: S3Request) => handle(request);
      scripts.add(entry);
      return () => void scripts.delete(entry);
    },
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
      // A request that was cut off may still be making its file.
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  return double;
}

function firstAnswer(
  scripts: readonly ((request: S3Request) => Scripted | undefined)[],
  request: S3Request,
): Scripted | undefined {
  for (const script of scripts) {
    const scripted = script(request);
    if (scripted !== undefined) return scripted;
  }
  return undefined;
}
