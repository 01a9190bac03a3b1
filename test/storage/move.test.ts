import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createS3Storage } from '../../src/storage/s3.ts';
import { BUCKET, countOf, PREFIX, type Setup, setUp } from './s3-setup.ts';

const MIB = 1024 * 1024;

let setup: Setup;
beforeAll(async () => {
  setup = await setUp();
});
afterAll(() => setup.close());

test('what is too large for one request of the store is copied in parts', async () => {
  const { s3, tempDir } = setup;
  const storage = createS3Storage({
    place: { bucket: BUCKET, prefix: PREFIX, endpoint: s3.endpoint },
    tempDir,
    log: pino({ level: 'silent' }),
    maxCopyBytes: 5 * MIB,
  });
  const bytes = randomBytes(12 * MIB);
  const writer = await storage.create('uploads/a/original');
  await writer.write(bytes);
  await writer.commit();
  await storage.move('uploads/a/original', 'teams/t/original');
  expect((await buffer(await storage.read('teams/t/original'))).equals(bytes)).toBe(true);
  expect(await storage.stat('uploads/a/original')).toBeNull();
  expect([countOf(s3, 'UploadPartCopy'), countOf(s3, 'CopyObject')]).toEqual([3, 0]);
});
