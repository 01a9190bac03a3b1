import { createHash, randomBytes } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type S3Double, startS3 } from '../s3.ts';
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

async function bytesOf(key: string, input: { Range?: string } = {}): Promise<Buffer> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: key, ...input }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

describe('uploads in parts', () => {
  const begin = async (Key: string) => {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
    return { Bucket, Key, UploadId };
  };
  const upload = async (at: Awaited<ReturnType<typeof begin>>, PartNumber: number, Body: Uint8Array) => {
    const { ETag } = await client.send(new UploadPartCommand({ ...at, PartNumber, Body }));
    return { PartNumber, ETag };
  };

  test('are one object once they are completed, and nothing before', async () => {
    const body = randomBytes(6 * MIB);
    const at = await begin('a');
    const second = await upload(at, 2, body.subarray(5 * MIB));
    const first = await upload(at, 1, body.subarray(0, 5 * MIB));
    expect(s3.has(Bucket, 'a')).toBe(false);
    expect(s3.uploads(Bucket)).toMatchObject([
      {
        key: 'a',
        uploadId: at.UploadId,
        parts: [
          { number: 1, size: 5 * MIB },
          { number: 2, size: MIB },
        ],
      },
    ]);
    const listed = await client.send(new ListPartsCommand({ ...at, MaxParts: 1 }));
    expect(listed).toMatchObject({
      IsTruncated: true,
      NextPartNumberMarker: '1',
      Parts: [{ ETag: first.ETag }],
    });
    const next = await client.send(new ListPartsCommand({ ...at, PartNumberMarker: '1' }));
    expect(next).toMatchObject({ IsTruncated: false, Parts: [{ PartNumber: 2, Size: MIB }] });
    const parts = [first, second];
    const done = await client.send(
      new CompleteMultipartUploadCommand({ ...at, MultipartUpload: { Parts: parts } }),
    );
    const digest = createHash('md5');
    for (const { ETag = '' } of parts) digest.update(Buffer.from(ETag.replaceAll('"', ''), 'hex'));
    expect(done.ETag).toBe(`"${digest.digest('hex')}-2"`);
    expect((await bytesOf('a')).equals(body)).toBe(true);
    const middle = { Range: `bytes=${5 * MIB - 10}-${5 * MIB + 9}` };
    expect((await bytesOf('a', middle)).equals(body.subarray(5 * MIB - 10, 5 * MIB + 10))).toBe(true);
    expect(s3.uploads(Bucket)).toEqual([]);
    await expect(upload(at, 3, body)).rejects.toMatchObject({ name: 'NoSuchUpload' });
  });

  test('are not completed with parts that are small, missing, changed or out of order', async () => {
    const at = await begin('a');
    const small = await upload(at, 1, Buffer.from('small'));
    const last = await upload(at, 2, Buffer.from('last'));
    const complete = (Parts: { PartNumber: number; ETag: string | undefined }[]) =>
      client.send(new CompleteMultipartUploadCommand({ ...at, MultipartUpload: { Parts } }));
    await expect(complete([small, last])).rejects.toMatchObject({ name: 'EntityTooSmall' });
    await expect(complete([last, small])).rejects.toMatchObject({ name: 'InvalidPartOrder' });
    await expect(complete([{ ...last, PartNumber: 3 }])).rejects.toMatchObject({ name: 'InvalidPart' });
    await expect(complete([{ ...last, ETag: small.ETag }])).rejects.toMatchObject({ name: 'InvalidPart' });
    await expect(complete([])).rejects.toMatchObject({ name: 'MalformedXML' });
    expect(s3.has(Bucket, 'a')).toBe(false);
    await client.send(new AbortMultipartUploadCommand(at));
    expect(s3.uploads(Bucket)).toEqual([]);
    await expect(client.send(new AbortMultipartUploadCommand(at))).rejects.toMatchObject({
      name: 'NoSuchUpload',
    });
  });

  test('are listed by prefix, in pages, with keys of every kind', async () => {
    for (const key of ['x/a b', 'x/a b', 'x/é', 'y']) await begin(key);
    const input = { Bucket, Prefix: 'x/', EncodingType: 'url' } as const;
    const first = await client.send(new ListMultipartUploadsCommand({ ...input, MaxUploads: 1 }));
    expect(first).toMatchObject({ IsTruncated: true, NextKeyMarker: 'x/a+b', Uploads: [{ Key: 'x/a+b' }] });
    const markers = { KeyMarker: 'x/a b', UploadIdMarker: first.NextUploadIdMarker };
    const rest = await client.send(new ListMultipartUploadsCommand({ ...input, ...markers }));
    expect(rest.Uploads?.map(({ Key }) => Key)).toEqual(['x/a+b', 'x/%C3%A9']);
    expect(rest.IsTruncated).toBe(false);
  });
});
