import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  GetObjectCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type S3Double, startS3 } from '../s3.ts';
import { compareBytes } from './encoding.ts';
import { sdkClient } from './sdk.ts';

const Bucket = 'films';
const MIB = 1024 * 1024;

let s3: S3Double;
let client: S3Client;

beforeEach(async () => {
  s3 = await startS3();
  s3.createBucket(Bucket);
  client = sdkClient(s3);
});

afterEach(async () => {
  client.destroy();
  await s3.stop();
});

async function listAll(page: (token: string | undefined) => Promise<ListObjectsV2CommandOutput>) {
  const pages: ListObjectsV2CommandOutput[] = [];
  for (let token: string | undefined; pages.length === 0 || token !== undefined; ) {
    const next = await page(token);
    pages.push(next);
    token = next.NextContinuationToken;
  }
  return pages;
}

const list = (input: { Prefix?: string; StartAfter?: string; EncodingType?: 'url' } = {}) =>
  listAll((token) => client.send(new ListObjectsV2Command({ Bucket, ...input, ContinuationToken: token })));

const keysOf = (pages: ListObjectsV2CommandOutput[]) =>
  pages.flatMap(({ Contents = [] }) => Contents.map(({ Key = '' }) => Key));

async function bytesOf(key: string, input: { Range?: string } = {}): Promise<Buffer> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: key, ...input }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

/** Bytes of the heap that are still needed. */
function heapInUse(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().heapUsed;
}

describe('a listing', () => {
  test('comes in pages that go on where the one before ended', async () => {
    const keys = Array.from({ length: 2345 }, (_, index) => `k${String(index).padStart(5, '0')}`);
    for (const key of keys) s3.put(Bucket, key, '');
    const pages = await list();
    expect(pages.map(({ KeyCount }) => KeyCount)).toEqual([1000, 1000, 345]);
    expect(keysOf(pages)).toEqual(keys);
    s3.maxKeys = 700;
    expect((await list({ StartAfter: 'k00999' })).map(({ KeyCount }) => KeyCount)).toEqual([700, 645]);
    expect(keysOf(await list({ Prefix: 'k0123' }))).toEqual(keys.slice(1230, 1240));
  });

  test('ends with its page when that holds all there is', async () => {
    for (const key of ['a', 'b']) s3.put(Bucket, key, '');
    s3.maxKeys = 2;
    expect((await list()).map(({ IsTruncated }) => IsTruncated)).toEqual([false]);
  });

  test('does not take a token that is not its own', async () => {
    const page = new ListObjectsV2Command({ Bucket, ContinuationToken: 'bm9uc2Vuc2U=' });
    await expect(client.send(page)).rejects.toMatchObject({ name: 'InvalidArgument' });
  });

  test('holds 100,000 virtual objects and those that were put among them, with flat memory', async () => {
    const key = (index: number) => `v/${String(index).padStart(6, '0')}`;
    s3.fill(Bucket, 100_000, (index) => ({ key: key(index), size: index }));
    s3.put(Bucket, 'v/000500', 'real');
    s3.put(Bucket, 'v/000500.mp4', 'real');
    s3.remove(Bucket, 'v/000000');
    let count = 0;
    let last = '';
    const heaps: number[] = [];
    for (let token: string | undefined, isFirst = true; isFirst || token !== undefined; isFirst = false) {
      const page = await client.send(new ListObjectsV2Command({ Bucket, ContinuationToken: token }));
      for (const { Key = '' } of page.Contents ?? []) {
        if (compareBytes(last, Key) >= 0) throw new Error(`${Key} came behind ${last}`);
        last = Key;
      }
      count += page.KeyCount ?? 0;
      token = page.NextContinuationToken;
      if (s3.requests.length % 45 === 1) heaps.push(heapInUse());
    }
    expect(count).toBe(100_000);
    expect(heaps).toHaveLength(3);
    expect((heaps[2] ?? 0) - (heaps[0] ?? 0)).toBeLessThan(10 * MIB);
    expect((await bytesOf('v/000500')).toString()).toBe('real');
    expect(await bytesOf('v/000007')).toEqual(Buffer.alloc(7));
    await expect(bytesOf('v/000000')).rejects.toMatchObject({ name: 'NoSuchKey' });
    expect(s3.has(Bucket, 'v/100000')).toBe(false);
  });

  test('differs as its quirks say', async () => {
    s3.put(Bucket, 'a b', '');
    s3.put(Bucket, 'c', '', { listedAs: '%FF', etag: '' });
    const encoded = async () => keysOf(await list({ EncodingType: 'url' }));
    expect(await encoded()).toEqual(['a+b', '%FF']);
    s3.quirks.encodeKey = encodeURIComponent;
    expect(await encoded()).toEqual(['a%20b', '%FF']);
    s3.quirks.ignoreEncodingType = true;
    expect((await list({ EncodingType: 'url' }))[0]?.EncodingType).toBeUndefined();
    expect(await encoded()).toEqual(['a b', '%FF']);
    s3.maxKeys = 1;
    s3.quirks.refuseContinuation = true;
    await expect(encoded()).rejects.toMatchObject({ name: 'InvalidArgument' });
  });
});
