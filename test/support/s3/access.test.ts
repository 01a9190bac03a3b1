import { request as httpRequest, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import {
  GetObjectCommand,
  HeadBucketCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type S3Double, startS3 } from '../s3.ts';
import { sdkClient } from './sdk.ts';

const Bucket = 'films';

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

/** A request that no SDK makes: without a signature, its target as it is. */
async function raw(method: string, path: string, headers: Record<string, string> = {}) {
  const { port } = new URL(s3.endpoint);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    httpRequest({ host: '127.0.0.1', port, method, path, headers }, resolve).on('error', reject).end();
  });
  return { status: response.statusCode, headers: response.headers, body: await text(response) };
}

const strangers: S3Client[] = [];

afterEach(() => {
  for (const stranger of strangers.splice(0)) stranger.destroy();
});

function strangerOf(config: S3ClientConfig = {}): S3Client {
  const stranger = sdkClient(s3, config);
  strangers.push(stranger);
  return stranger;
}

const anonymous = () => strangerOf({ signer: { sign: async (request) => request } });

describe('who may ask', () => {
  test.each([
    ['another secret', { secretAccessKey: 'other' }, 'SignatureDoesNotMatch'],
    ['an unknown key', { accessKeyId: 'AKIAOTHER' }, 'InvalidAccessKeyId'],
  ])('not one with %s', async (_, wrong, name) => {
    const { accessKeyId, secretAccessKey } = s3;
    const stranger = strangerOf({ credentials: { accessKeyId, secretAccessKey, ...wrong } });
    await expect(stranger.send(new ListObjectsV2Command({ Bucket }))).rejects.toMatchObject({ name });
  });

  test('one whose body is another than the signed one is refused', async () => {
    const tampered = strangerOf();
    tampered.middlewareStack.add(
      (next) => async (args) => {
        (args.request as { body: unknown }).body = Buffer.from('evil');
        return next(args);
      },
      { step: 'finalizeRequest', priority: 'low' },
    );
    const put = new PutObjectCommand({ Bucket, Key: 'a', Body: Buffer.from('good') });
    await expect(tampered.send(put)).rejects.toMatchObject({ name: 'XAmzContentSHA256Mismatch' });
    expect(s3.has(Bucket, 'a')).toBe(false);
  });

  test('one whose clock is wrong is refused', async () => {
    const late = strangerOf({ systemClockOffset: 20 * 60 * 1000 });
    await expect(late.send(new ListObjectsV2Command({ Bucket }))).rejects.toMatchObject({
      name: 'RequestTimeTooSkewed',
    });
  });

  test('the region must be that of the bucket', async () => {
    s3.createBucket('abroad', { region: 'eu-west-1', public: true });
    const asked = new ListObjectsV2Command({ Bucket: 'abroad' });
    await expect(client.send(asked)).rejects.toMatchObject({
      name: 'AuthorizationHeaderMalformed',
      Region: 'eu-west-1',
      $response: { headers: { 'x-amz-bucket-region': 'eu-west-1' } },
    });
    expect((await strangerOf({ region: 'eu-west-1' }).send(asked)).KeyCount).toBe(0);
    await expect(anonymous().send(asked)).rejects.toMatchObject({
      name: 'PermanentRedirect',
      $response: { statusCode: 301, headers: { 'x-amz-bucket-region': 'eu-west-1' } },
    });
  });

  test('the unsigned read public buckets only, and write nowhere', async () => {
    s3.createBucket('open', { public: true });
    s3.put('open', 'a', 'x');
    const nobody = anonymous();
    expect((await nobody.send(new ListObjectsV2Command({ Bucket: 'open' }))).KeyCount).toBe(1);
    expect((await nobody.send(new GetObjectCommand({ Bucket: 'open', Key: 'a' }))).ContentLength).toBe(1);
    // One after the other: of two at once the second may be refused first, which nobody would be listening for.
    for (const refused of [
      () => nobody.send(new ListObjectsV2Command({ Bucket })),
      () => nobody.send(new PutObjectCommand({ Bucket: 'open', Key: 'b', Body: 'x' })),
    ]) {
      await expect(refused()).rejects.toMatchObject({ name: 'AccessDenied' });
    }
    expect(s3.requests.map(({ signed }) => signed)).toEqual([false, false, false, false]);
  });

  test('what is not there is said to be so', async () => {
    await expect(client.send(new HeadBucketCommand({ Bucket }))).resolves.toBeDefined();
    await expect(client.send(new HeadBucketCommand({ Bucket: 'none' }))).rejects.toMatchObject({
      name: 'NotFound',
    });
    await expect(client.send(new ListObjectsV2Command({ Bucket: 'none' }))).rejects.toMatchObject({
      name: 'NoSuchBucket',
    });
    await expect(client.send(new GetObjectCommand({ Bucket, Key: 'none' }))).rejects.toMatchObject({
      name: 'NoSuchKey',
    });
  });

  test('the bucket may be in the Host header', async () => {
    s3.createBucket('open', { public: true });
    s3.put('open', 'folder/a b', 'x');
    expect(await raw('GET', '/folder/a%20b', { host: 'open.localhost:1' })).toMatchObject({
      status: 200,
      body: 'x',
    });
    expect(await raw('GET', '/?list-type=2', { host: 'open.127.0.0.1' })).toMatchObject({ status: 200 });
    expect(await raw('GET', '/%FF')).toMatchObject({ status: 400 });
  });
});
