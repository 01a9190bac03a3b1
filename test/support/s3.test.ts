import { createHash, randomBytes } from 'node:crypto';
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { oddKeys } from './s3/odd-keys.ts';
import { sdkClient } from './s3/sdk.ts';
import { type S3Double, startS3 } from './s3.ts';

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

async function bytesOf(key: string, input: { Range?: string } = {}): Promise<Buffer> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: key, ...input }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

const page = (input: { EncodingType?: 'url' } = {}) =>
  client.send(new ListObjectsV2Command({ Bucket, ...input }));

const listed = async (input: { EncodingType?: 'url' }) =>
  (await page(input)).Contents?.map(({ Key = '' }) => Key) ?? [];

describe('objects', () => {
  test('of every kind of key are put, listed, read and deleted under just that key', async () => {
    for (const Key of oddKeys)
      await client.send(new PutObjectCommand({ Bucket, Key, Body: `body of ${Key}` }));
    const sorted = [...oddKeys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(s3.keys(Bucket)).toEqual(sorted);
    const encoded = await listed({ EncodingType: 'url' });
    expect(encoded.map((key) => decodeURIComponent(key.replaceAll('+', ' ')))).toEqual(sorted);
    for (const key of oddKeys) expect((await bytesOf(key)).toString()).toBe(`body of ${key}`);
    for (const Key of oddKeys.slice(0, 5)) await client.send(new DeleteObjectCommand({ Bucket, Key }));
    const rest = oddKeys.slice(5).map((Key) => ({ Key }));
    await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: rest } }));
    expect(s3.keys(Bucket)).toEqual([]);
  });

  test('tell their type, size, ETag and last change', async () => {
    const lastModified = new Date('2026-01-02T03:04:05.678Z');
    const { etag } = s3.put(Bucket, 'a.mp4', 'twelve bytes', { contentType: 'video/mp4', lastModified });
    expect(etag).toBe(`"${createHash('md5').update('twelve bytes').digest('hex')}"`);
    const facts = { ETag: etag, ContentLength: 12, ContentType: 'video/mp4', AcceptRanges: 'bytes' };
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'a.mp4' }));
    expect(head).toMatchObject({ ...facts, LastModified: new Date('2026-01-02T03:04:05Z') });
    expect((await page()).Contents).toMatchObject([
      { ETag: etag, Size: 12, LastModified: head.LastModified },
    ]);
  });

  test.each([
    ['bytes=0-4', '01234', 'bytes 0-4/10'],
    ['bytes=4-', '456789', 'bytes 4-9/10'],
    ['bytes=8-100', '89', 'bytes 8-9/10'],
    ['bytes=-3', '789', 'bytes 7-9/10'],
    ['bytes=-30', '0123456789', 'bytes 0-9/10'],
  ])('give the part %s', async (Range, expected, ContentRange) => {
    s3.put(Bucket, 'a', '0123456789');
    const answer = await client.send(new GetObjectCommand({ Bucket, Key: 'a', Range }));
    expect(answer).toMatchObject({ ContentRange, $metadata: { httpStatusCode: 206 } });
    expect(await answer.Body?.transformToString()).toBe(expected);
  });

  test('refuse parts behind their end, and other versions than the one asked for', async () => {
    const { etag } = s3.put(Bucket, 'a', '0123456789');
    s3.put(Bucket, 'empty', '');
    const get = (input: { Key?: string; Range?: string; IfMatch?: string; IfNoneMatch?: string }) =>
      client.send(new GetObjectCommand({ Bucket, Key: 'a', ...input }));
    await expect(get({ Range: 'bytes=10-' })).rejects.toMatchObject({ name: 'InvalidRange' });
    await expect(get({ Key: 'empty', Range: 'bytes=0-9' })).rejects.toMatchObject({
      $metadata: { httpStatusCode: 416 },
      $response: { headers: { 'content-range': 'bytes */0' } },
    });
    await expect(get({ IfMatch: '"other"' })).rejects.toMatchObject({ name: 'PreconditionFailed' });
    await expect(get({ IfNoneMatch: etag })).rejects.toMatchObject({ $metadata: { httpStatusCode: 304 } });
    expect((await get({ IfMatch: etag, IfNoneMatch: '"other"' })).ContentLength).toBe(10);
  });

  test('in an archive are listed but not given', async () => {
    s3.put(Bucket, 'a', 'x', { storageClass: 'GLACIER' });
    expect((await page()).Contents).toMatchObject([{ StorageClass: 'GLACIER' }]);
    await expect(bytesOf('a')).rejects.toMatchObject({ name: 'InvalidObjectState' });
  });

  test('of many megabytes come back as they were sent', async () => {
    const body = randomBytes(3 * MIB);
    await client.send(new PutObjectCommand({ Bucket, Key: 'a', Body: body }));
    expect((await bytesOf('a')).equals(body)).toBe(true);
    expect((await bytesOf('a', { Range: 'bytes=1000000-2000000' })).equals(body.subarray(1e6, 2e6 + 1))).toBe(
      true,
    );
    expect(s3.read(Bucket, 'a').equals(body)).toBe(true);
    expect(
      s3.requests.map(({ operation, bytesReceived, bytesSent }) => [operation, bytesReceived, bytesSent]),
    ).toEqual([
      ['PutObject', body.length, 0],
      ['GetObject', 0, body.length],
      ['GetObject', 0, 1_000_001],
    ]);
  });

  test('are not taken in encodings that stores may not know', async () => {
    const put = new PutObjectCommand({ Bucket, Key: 'a', Body: 'x', ContentEncoding: 'aws-chunked' });
    await expect(client.send(put)).rejects.toMatchObject({ name: 'NotImplemented' });
    expect(s3.has(Bucket, 'a')).toBe(false);
  });
});
