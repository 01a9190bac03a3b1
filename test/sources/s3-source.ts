import { Writable } from 'node:stream';
import { type Logger, pino } from 'pino';
import { createAddressPolicy } from '../../src/sources/addresses.ts';
import { createGuardedAgent, type GuardedAgentOptions } from '../../src/sources/guarded-agent.ts';
import { createS3Source, type S3SourceOptions } from '../../src/sources/s3.ts';
import type { ListedObject, ObjectSource } from '../../src/sources/source.ts';
import { type S3Double, type StartS3Options, startS3 } from '../support/s3.ts';

/** Never aborts. */
export const signal = new AbortController().signal;

export const BUCKET = 'videos';

type Opened = ReturnType<typeof createS3Source>;

export interface S3SourceSettings {
  readonly location?: Partial<S3SourceOptions['location']>;
  readonly credentials?: S3SourceOptions['credentials'];
  readonly log?: Logger;
  readonly stallTimeoutMs?: number;
  readonly agent?: Partial<GuardedAgentOptions>;
  /** Addresses that may be reached. */
  readonly allow?: readonly string[];
}

/** Starts what a test of the S3 source needs, and ends it again with `close`. */
export function createS3Bench() {
  const cleanups: (() => unknown)[] = [];
  return {
    async store(options: StartS3Options = {}): Promise<S3Double> {
      const store = await startS3(options);
      cleanups.push(() => store.stop());
      store.createBucket(BUCKET);
      return store;
    },
    source(
      store: Pick<S3Double, 'endpoint' | 'accessKeyId' | 'secretAccessKey'>,
      settings: S3SourceSettings = {},
    ): Opened {
      const { accessKeyId, secretAccessKey, endpoint } = store;
      const policy = createAddressPolicy({ allow: settings.allow ?? ['127.0.0.1/32'] });
      const agent = createGuardedAgent({ policy, ...settings.agent });
      const source = createS3Source({
        location: { bucket: BUCKET, endpoint, forcePathStyle: true, ...settings.location },
        credentials: settings.credentials ?? { accessKeyId, secretAccessKey },
        agent,
        log: settings.log,
        stallTimeoutMs: settings.stallTimeoutMs,
      });
      cleanups.push(() => agent.destroy());
      cleanups.push(() => source.close());
      return source;
    },
    later(cleanup: () => unknown) {
      cleanups.push(cleanup);
    },
    async close() {
      for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
    },
  };
}

/** All objects of all pages. */
export async function listAll(source: ObjectSource, prefix: string | null = null): Promise<ListedObject[]> {
  const objects: ListedObject[] = [];
  let position: string | null = null;
  do {
    const page = await source.list({ prefix, position, signal });
    objects.push(...page.objects);
    position = page.next;
  } while (position !== null);
  return objects;
}

/** All bytes of a body. */
export async function bytesOf(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A log at the level of debug, and what was written to it. */
export function createTestLog(): { readonly log: Logger; text(): string } {
  let text = '';
  const sink = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  return { log: pino({ level: 'debug' }, sink), text: () => text };
}
