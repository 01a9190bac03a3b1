import { createHash, createHmac } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BUCKET, PREFIX, type Setup, setUp } from './s3-setup.ts';

let setup: Setup;
beforeAll(async () => {
  setup = await setUp();
});
afterAll(() => setup.close());

const hmac = (key: Buffer | string, text: string) => createHmac('sha256', key).update(text).digest();
const encode = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);

/** The signature of a GET as "Authenticating Requests: Using Query Parameters" of Amazon's S3 reference has it. */
function signatureOf(url: URL, secretAccessKey: string): string {
  const pairs = [...url.searchParams].filter(([name]) => name !== 'X-Amz-Signature');
  const query = pairs.map(([name, value]) => `${encode(name)}=${encode(value)}`).sort();
  const canonical = [
    'GET',
    url.pathname,
    query.join('&'),
    `host:${url.host}\n`,
    'host',
    'UNSIGNED-PAYLOAD',
  ].join('\n');
  const time = url.searchParams.get('X-Amz-Date') ?? '';
  const scope = [time.slice(0, 8), 'us-east-1', 's3', 'aws4_request'];
  const text = [
    'AWS4-HMAC-SHA256',
    time,
    scope.join('/'),
    createHash('sha256').update(canonical).digest('hex'),
  ];
  const key = scope.reduce<Buffer | string>(hmac, `AWS4${secretAccessKey}`);
  return hmac(key, text.join('\n')).toString('hex');
}

const KEY = 'teams/t/tasks/a/1/original';
const disposition = `inline; filename="a b (1).mp4"; filename*=UTF-8''a%20b%20%281%29+%E6%98%A0.mp4`;

test('a URL of the store is signed as the store checks it, and asks it to answer as was said', async () => {
  const { s3, open } = setup;
  const until = new Date(Date.now() + 90_500);
  const url = new URL((await open().presign(KEY, { until, mimeType: 'video/mp4', disposition })) ?? '');
  expect(url.origin + url.pathname).toBe(`${s3.endpoint}/${BUCKET}/${PREFIX}/${KEY}`);
  expect(Object.fromEntries(url.searchParams)).toMatchObject({
    'response-content-disposition': disposition,
    'response-content-type': 'video/mp4',
    'X-Amz-SignedHeaders': 'host',
    'X-Amz-Signature': signatureOf(url, s3.secretAccessKey),
  });
  const seconds = Number(url.searchParams.get('X-Amz-Expires'));
  expect(seconds).toBeLessThanOrEqual(90);
  expect(seconds).toBeGreaterThanOrEqual(Math.floor((until.getTime() - Date.now()) / 1000));
  expect(url.href).not.toContain(s3.secretAccessKey);
  expect(s3.requests).toEqual([]);
});

test('no URL of the store is signed for longer than it takes, nor for what is no key', async () => {
  const storage = setup.open();
  const options = { until: new Date(Date.now() + 30 * 86_400_000), mimeType: 'video/mp4', disposition };
  const url = new URL((await storage.presign(KEY, options)) ?? '');
  expect(url.searchParams.get('X-Amz-Expires')).toBe('604800');
  await expect(storage.presign('../x', options)).rejects.toMatchObject({ reason: 'INVALID_KEY' });
});
