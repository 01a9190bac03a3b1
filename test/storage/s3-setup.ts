import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { vi } from 'vitest';
import type { Storage } from '../../src/storage/adapter.ts';
import { createS3Storage } from '../../src/storage/s3.ts';
import type { S3Place } from '../../src/storage/s3-bucket.ts';
import { type S3Double, startS3 } from '../support/s3.ts';

export const BUCKET = 'media';
export const PREFIX = 'sluice/one';

/** A store with one bucket, and what a test needs to look behind it. */
export interface Setup {
  readonly s3: S3Double;
  /** Lines of the log, parsed. */
  readonly logged: Record<string, unknown>[];
  readonly log: Logger;
  readonly tempDir: string;
  /** A storage of its own client, as another process has. */
  open(options?: { readonly place?: Partial<S3Place>; readonly idleSeconds?: number }): Storage;
  close(): Promise<void>;
}

/** Starts a store, with the credentials to it in the environment. */
export async function setUp(): Promise<Setup> {
  const s3 = await startS3();
  s3.createBucket(BUCKET);
  const tempDir = await mkdtemp(join(tmpdir(), 'sluice-s3-storage-'));
  vi.stubEnv('AWS_ACCESS_KEY_ID', s3.accessKeyId);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', s3.secretAccessKey);
  const logged: Record<string, unknown>[] = [];
  const log = pino({}, { write: (line: string) => void logged.push(JSON.parse(line)) });
  return {
    s3,
    logged,
    log,
    tempDir,
    open: ({ place = {}, idleSeconds = 30 } = {}) =>
      createS3Storage({
        place: { bucket: BUCKET, prefix: PREFIX, endpoint: s3.endpoint, ...place },
        tempDir,
        log,
        idleSeconds,
      }),
    async close() {
      vi.unstubAllEnvs();
      await s3.stop();
      await rm(tempDir, { recursive: true, force: true });
    },
  };
}

/** The parts that were asked to be stored, by number, repeated ones too. */
export const partNumbers = (s3: S3Double): number[] =>
  s3.requests
    .filter(({ operation }) => operation === 'UploadPart')
    .map(({ query }) => Number(query.get('partNumber')));

/** How many requests of a kind there were. */
export const countOf = (s3: S3Double, operation: string): number =>
  s3.requests.filter((request) => request.operation === operation).length;
