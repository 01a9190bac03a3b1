import { randomBytes } from 'node:crypto';
import { GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type S3Double, startS3 } from '../s3.ts';
import { waitFor } from '../wait.ts';
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

describe('a script', () => {
  test('answers instead of the store, until it is taken away', async () => {
    s3.put(Bucket, 'a', 'x');
    let left = 2;
    const remove = s3.script(({ operation }) =>
      operation === 'GetObject' && left-- > 0 ? { status: 503, code: 'SlowDown', retryAfter: 7 } : undefined,
    );
    await expect(bytesOf('a')).rejects.toMatchObject({
      name: 'SlowDown',
      $response: { statusCode: 503, headers: { 'retry-after': '7' } },
    });
    await expect(bytesOf('a')).rejects.toMatchObject({ name: 'SlowDown' });
    expect((await bytesOf('a')).toString()).toBe('x');
    left = 1;
    remove();
    expect((await bytesOf('a')).toString()).toBe('x');
    expect(s3.requests.map(({ status }) => status)).toEqual([503, 503, 200, 200]);
  });

  test('answers an upload once its body is taken', async () => {
    s3.script(() => ({ status: 500, code: 'InternalError' }));
    const put = new PutObjectCommand({ Bucket, Key: 'a', Body: randomBytes(3 * MIB) });
    await expect(client.send(put)).rejects.toMatchObject({ name: 'InternalError' });
    expect(s3.requests).toMatchObject([{ bytesReceived: 3 * MIB, status: 500 }]);
  });

  test.each([0, 1000, 2 * MIB])('cuts a body after %d bytes', async (cutAfterBytes) => {
    s3.put(Bucket, 'a', randomBytes(4 * MIB));
    s3.script(() => ({ cutAfterBytes }));
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: 'a' }));
    let received = 0;
    const reading = (async () => {
      for await (const chunk of Body as AsyncIterable<Uint8Array>) received += chunk.length;
    })();
    await expect(reading).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(received).toBe(cutAfterBytes);
    expect(s3.requests[0]).toMatchObject({ bytesSent: cutAfterBytes });
  });

  test('stalls, hangs and delays until the other side gives up', async () => {
    s3.put(Bucket, 'a', randomBytes(1000));
    for (const scripted of [{ hang: true }, { delayMs: 1e8 }, { stallAfterBytes: 10 }] as const) {
      const remove = s3.script(() => scripted);
      const aborting = new AbortController();
      const asked = client.send(new GetObjectCommand({ Bucket, Key: 'a' }), { abortSignal: aborting.signal });
      asked.catch(() => undefined);
      const request = await waitFor(() => s3.requests.at(-1));
      if ('stallAfterBytes' in scripted) {
        const { Body } = await asked;
        const chunks = (Body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
        expect((await chunks.next()).value).toHaveLength(10);
        (Body as unknown as { destroy(): void }).destroy();
      } else {
        aborting.abort();
        await expect(asked).rejects.toMatchObject({ name: 'AbortError' });
      }
      await waitFor(() => request.endedAt);
      expect(request.status).toBe('stallAfterBytes' in scripted ? 200 : 0);
      remove();
      s3.requests.length = 0;
    }
  });

  test('resets the connection before anything is done, or after', async () => {
    const put = (Key: string) => client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
    s3.script(({ key }) => (key === 'before' ? 'reset' : { loseAnswer: true }));
    await expect(put('before')).rejects.toMatchObject({ code: 'ECONNRESET' });
    await expect(put('after')).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(s3.keys(Bucket)).toEqual(['after']);
  });
});

test('stops while requests hang', async () => {
  const other = await startS3();
  other.script(() => ({ hang: true }));
  const waiting = fetch(other.endpoint).catch((error: unknown) => error);
  await waitFor(() => other.requests.length === 1);
  await other.stop();
  expect(await waiting).toBeInstanceOf(TypeError);
});
