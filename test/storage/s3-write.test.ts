import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StorageWriter } from '../../src/storage/adapter.ts';
import type { S3Request, Scripted } from '../support/s3.ts';
import { waitFor } from '../support/wait.ts';
import { BUCKET, countOf, PREFIX, partNumbers, type Setup, setUp } from './s3-setup.ts';

const MiB = 1024 * 1024;
const KEY = 'tasks/1/1/original';
/** One as the product has them. */
const OWN = `teams/1/${KEY}`;
const NAME = `${PREFIX}/${KEY}`;

let setup: Setup;
beforeEach(async () => {
  setup = await setUp();
});
afterEach(() => setup.close());

async function writeAll(writer: StorageWriter, data: Uint8Array): Promise<void> {
  for (let at = 0; at < data.length; at += MiB) await writer.write(data.subarray(at, at + MiB));
}

/** Writes until a write fails: how much goes through before that depends on how fast the other parts are. */
async function writeOn(writer: StorageWriter): Promise<never> {
  const chunk = randomBytes(MiB);
  for (;;) await writer.write(chunk);
}

/** Answers requests of one kind, from the n-th such on. */
function answer(operation: string, reply: (request: S3Request, index: number) => Scripted | undefined) {
  let index = 0;
  return setup.s3.script((request) =>
    request.operation === operation ? reply(request, index++) : undefined,
  );
}
const isPart = (request: S3Request, number: number) => request.query.get('partNumber') === String(number);
const internal = { status: 500, code: 'InternalError' };

describe('an object', () => {
  test.each([0, 1, 8 * MiB])('of %i bytes is written by a single request', async (size) => {
    const { s3, open } = setup;
    const data = randomBytes(size);
    const writer = await open().create(KEY);
    await writeAll(writer, data);
    expect(s3.keys(BUCKET)).toEqual([]);
    await writer.commit();
    expect(s3.read(BUCKET, NAME).equals(data)).toBe(true);
    expect(countOf(s3, 'PutObject')).toBe(1);
    expect(countOf(s3, 'CreateMultipartUpload')).toBe(0);
  });

  test('of more is written in parts of 8 MiB, and seen to be whole', async () => {
    const { s3, open } = setup;
    const data = randomBytes(17 * MiB + 5);
    const writer = await open().create(KEY);
    await writeAll(writer, data);
    await writer.commit();
    expect(s3.read(BUCKET, NAME).equals(data)).toBe(true);
    expect(partNumbers(s3).sort()).toEqual([1, 2, 3]);
    expect(countOf(s3, 'HeadObject')).toBe(1);
    expect(s3.uploads(BUCKET)).toEqual([]);
  });

  test('that is announced to be huge gets parts that 10,000 of are enough', async () => {
    const { s3, open } = setup;
    const writer = await open().create(KEY);
    await writer.expect(100 * 1024 * MiB);
    await writeAll(writer, randomBytes(23 * MiB));
    await waitFor(() => s3.uploads(BUCKET)[0]?.parts.length === 2);
    expect(s3.uploads(BUCKET)[0]?.parts.map(({ size }) => size)).toEqual([11 * MiB, 11 * MiB]);
    await writer.discard();
    expect(s3.uploads(BUCKET)).toEqual([]);
  });

  test('of 300 MiB is written with three parts in memory at most', async () => {
    const { s3, open } = setup;
    let [arrived, most] = [0, 0];
    answer('UploadPart', (request) => {
      arrived += Number(request.headers['content-length']);
      return undefined;
    });
    const chunk = randomBytes(MiB);
    const writer = await open().create(KEY);
    await writer.expect(300 * MiB);
    const before = process.memoryUsage().arrayBuffers;
    let memory = 0;
    for (let written = 0; written < 300; written++) {
      await writer.write(chunk);
      most = Math.max(most, writer.bytes - arrived);
      memory = Math.max(memory, process.memoryUsage().arrayBuffers - before);
    }
    await writer.commit();
    expect(s3.read(BUCKET, NAME)).toHaveLength(300 * MiB);
    expect(most).toBeLessThanOrEqual(24 * MiB);
    // The store of the test is in the same process, and what both have let go of is there until it is collected.
    expect(memory).toBeLessThan(128 * MiB);
  });

  test('waits while two parts are on their way', async () => {
    const { s3, open } = setup;
    answer('UploadPart', () => ({ hang: true }));
    const writer = await open({ idleSeconds: 2.5 }).create(KEY);
    const writing = writeOn(writer);
    await waitFor(() => partNumbers(s3).length >= 2);
    expect(writer.bytes).toBeLessThanOrEqual(25 * MiB);
    await expect(writing).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
    expect(new Set(partNumbers(s3))).toEqual(new Set([1, 2]));
    await writer.discard();
    expect(s3.uploads(BUCKET)).toEqual([]);
  });
});

describe('a part that fails', () => {
  test('once is sent again', async () => {
    const { s3, open } = setup;
    let failed = 0;
    answer('UploadPart', (request) => (isPart(request, 3) && failed++ === 0 ? internal : undefined));
    const data = randomBytes(30 * MiB);
    const writer = await open().create(KEY);
    await writeAll(writer, data);
    await writer.commit();
    expect(s3.read(BUCKET, NAME).equals(data)).toBe(true);
    expect(partNumbers(s3).sort()).toEqual([1, 2, 3, 3, 4]);
  });

  test.each<[string, Scripted]>([
    ['is slowed down', { status: 503, code: 'SlowDown', retryAfter: 1 }],
    ['loses its connection', 'reset'],
    ['loses its answer', { loseAnswer: true }],
  ])('because it %s is sent again', async (_, reply) => {
    const { s3, open } = setup;
    answer('UploadPart', (__, index) => (index < 2 ? reply : undefined));
    const data = randomBytes(17 * MiB);
    const writer = await open().create(KEY);
    await writeAll(writer, data);
    await writer.commit();
    expect(s3.read(BUCKET, NAME).equals(data)).toBe(true);
  });

  test('always is an error of the next call, no object, and after discard no upload', async () => {
    const { s3, open } = setup;
    answer('UploadPart', (request) => (isPart(request, 3) ? internal : undefined));
    const writer = await open().create(KEY);
    const failure = { name: 'StorageError', reason: 'UNAVAILABLE' };
    await expect(writeOn(writer)).rejects.toMatchObject(failure);
    await expect(writer.write(Buffer.from('x'))).rejects.toMatchObject(failure);
    await expect(writer.commit()).rejects.toMatchObject(failure);
    expect(partNumbers(s3).filter((number) => number === 3)).toHaveLength(4);
    expect(countOf(s3, 'CompleteMultipartUpload')).toBe(0);
    await writer.discard();
    expect(s3.uploads(BUCKET)).toEqual([]);
    expect(s3.keys(BUCKET)).toEqual([]);
  });

  test('always, as the last, is an error of the commit', async () => {
    const { s3, open } = setup;
    answer('UploadPart', (request) => (isPart(request, 3) ? internal : undefined));
    const writer = await open().create(KEY);
    await writeAll(writer, randomBytes(20 * MiB));
    await expect(writer.commit()).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
    await writer.discard();
    expect(s3.uploads(BUCKET)).toEqual([]);
    expect(s3.keys(BUCKET)).toEqual([]);
  });

  test('always leaves what came before it', async () => {
    const { s3, open, logged } = setup;
    answer('UploadPart', (request) => (isPart(request, 2) ? { hang: true } : undefined));
    const storage = open({ idleSeconds: 2.5 });
    const data = randomBytes(30 * MiB);
    const writer = await storage.create(KEY);
    // Whether the failure meets a write already depends on how fast the others are.
    await writeAll(writer, data).catch(() => {});
    await waitFor(() => s3.uploads(BUCKET)[0]?.parts.some(({ number }) => number === 3));
    await writer.close();
    expect(logged).toMatchObject([{ key: KEY }]);
    expect(await storage.statPartial(KEY)).toEqual({ size: 8 * MiB });
    const kept = await buffer(await storage.readPartial(KEY));
    expect(kept.equals(data.subarray(0, 8 * MiB))).toBe(true);
    expect(s3.uploads(BUCKET)).toEqual([]);
  });

  test('for want of space is a full storage', async () => {
    answer('UploadPart', () => ({ status: 403, code: 'QuotaExceeded' }));
    const writer = await setup.open().create(KEY);
    await expect(writeOn(writer)).rejects.toMatchObject({ name: 'StorageFullError' });
    await writer.discard();
    expect(setup.s3.uploads(BUCKET)).toEqual([]);
  });
});

describe('a commit', () => {
  async function written() {
    const data = randomBytes(10 * MiB);
    const writer = await setup.open().create(KEY);
    await writeAll(writer, data);
    return { data, writer };
  }

  test('whose answer is lost is found to be done', async () => {
    const { s3 } = setup;
    const { data, writer } = await written();
    answer('CompleteMultipartUpload', (_, index) => (index === 0 ? { loseAnswer: true } : undefined));
    await writer.commit();
    expect(countOf(s3, 'CompleteMultipartUpload')).toBe(2);
    expect(s3.read(BUCKET, NAME).equals(data)).toBe(true);
  });

  test('whose answers are all lost is found to be done', async () => {
    const { writer } = await written();
    answer('CompleteMultipartUpload', () => ({ loseAnswer: true }));
    await writer.commit();
    expect(await setup.open().stat(KEY)).toMatchObject({ size: 10 * MiB });
  });

  test.each<[string, Scripted]>([
    ['an error after status 200', { status: 200, code: 'InternalError' }],
    ['a reset', 'reset'],
    ['a refusal', { status: 403, code: 'AccessDenied' }],
  ])('answered by %s leaves nothing at the key', async (_, reply) => {
    const { s3 } = setup;
    // As long as what is written: not to be taken for it.
    s3.put(BUCKET, NAME, Buffer.alloc(10 * MiB));
    const { writer } = await written();
    answer('CompleteMultipartUpload', () => reply);
    await expect(writer.commit()).rejects.toMatchObject({ name: 'StorageError', reason: 'UNAVAILABLE' });
    expect(s3.read(BUCKET, NAME).equals(Buffer.alloc(10 * MiB))).toBe(true);
    await writer.discard();
    expect(s3.uploads(BUCKET)).toEqual([]);
  });

  test('that ends as an object of another size deletes it and fails', async () => {
    const { s3 } = setup;
    const { writer } = await written();
    answer('CompleteMultipartUpload', () => {
      s3.put(BUCKET, NAME, Buffer.alloc(8 * MiB));
      const body = '<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>';
      return { status: 200, body };
    });
    await expect(writer.commit()).rejects.toThrow('8388608 bytes from 10485760 bytes');
    expect(s3.keys(BUCKET)).toEqual([]);
    await writer.discard();
    expect(s3.uploads(BUCKET)).toEqual([]);
  });
});

describe('what an ended process left', () => {
  test('is read by another, and the one that still lives cannot add to it', async () => {
    const { s3, open } = setup;
    const data = randomBytes(20 * MiB);
    const zombie = await open().create(KEY);
    await writeAll(zombie, data);
    await waitFor(() => s3.uploads(BUCKET)[0]?.parts.length === 2);
    const storage = open();
    expect(await storage.statPartial(KEY)).toEqual({ size: 16 * MiB });
    const kept = await buffer(await storage.readPartial(KEY));
    expect(kept.equals(data.subarray(0, 16 * MiB))).toBe(true);
    // A second try finds it as an object.
    await expect(storage.readPartial(KEY)).rejects.toMatchObject({ reason: 'NOT_FOUND' });
    expect(await storage.stat(KEY)).toMatchObject({ size: 16 * MiB });
    await storage.delete('tasks/1/1');
    await expect(zombie.commit()).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
    await zombie.close();
    expect(s3.keys(BUCKET)).toEqual([]);
    expect(s3.uploads(BUCKET)).toEqual([]);
  });

  test('is swept when it is old, below our own prefix only', async () => {
    const { s3, open } = setup;
    for (const place of [{}, { prefix: 'sluice/one-other' }])
      await writeAll(await open({ place }).create(OWN), randomBytes(9 * MiB));
    // What else uploads below our prefix is not ours either.
    await writeAll(await open().create(KEY), randomBytes(9 * MiB));
    await waitFor(() => s3.uploads(BUCKET).filter(({ parts }) => parts.length === 1).length === 3);
    const storage = open();
    expect(await storage.sweepUnfinished(new Date(Date.now() - 3_600_000))).toBe(0);
    expect(s3.uploads(BUCKET)).toHaveLength(3);
    expect(await storage.sweepUnfinished(new Date(Date.now() + 60_000))).toBe(1);
    const left = s3.uploads(BUCKET).map(({ key }) => key);
    expect(left.toSorted()).toEqual([`sluice/one-other/${OWN}`, `sluice/one/${KEY}`].toSorted());
  });

  test('is left to the next sweep when it cannot be aborted', async () => {
    const { s3, open, logged } = setup;
    const storage = open();
    const writer = await storage.create(OWN);
    await writeAll(writer, randomBytes(9 * MiB));
    const allow = answer('AbortMultipartUpload', () => ({ status: 403, code: 'AccessDenied' }));
    await writer.discard();
    expect(logged).toMatchObject([{ level: 40, key: OWN }]);
    const later = new Date(Date.now() + 60_000);
    expect(await storage.sweepUnfinished(later)).toBe(0);
    await expect(storage.delete('teams')).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
    allow();
    expect(s3.uploads(BUCKET)).toHaveLength(1);
    expect(await storage.sweepUnfinished(later)).toBe(1);
    expect(s3.uploads(BUCKET)).toEqual([]);
  });
});
