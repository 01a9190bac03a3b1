import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { KnownPart } from '../../src/sources/download-answer.ts';
import { startVictim } from './origin.ts';
import { BUCKET, bytesOf, createS3Bench, createTestLog, signal } from './s3-source.ts';

const KEY = 'films/a b+c%2F é.mp4';
const NOTHING: KnownPart = { bytes: 0, version: null, total: null };
const data = randomBytes(300_000);
const bench = createS3Bench();

afterEach(() => bench.close());

async function givenObject(
  body: Uint8Array = data,
  options: Parameters<Awaited<ReturnType<typeof bench.store>>['put']>[3] = {},
) {
  const store = await bench.store();
  const { etag } = store.put(BUCKET, KEY, body, options);
  const source = bench.source(store);
  return { store, source, etag, version: `${etag};${body.length}`, file: source.file(KEY) };
}

describe('a file that is opened', () => {
  test('is asked for once, for its first 64 KiB', async () => {
    const { store, file, version } = await givenObject();
    const opened = await file.open({ signal });
    expect(opened).toMatchObject({ size: 300_000, version, acceptsRanges: true });
    expect(Buffer.from(await opened.read(0, 1000, signal)).equals(data.subarray(0, 1000))).toBe(true);
    expect(store.requests.map(({ operation, key, headers }) => [operation, key, headers.range])).toEqual([
      ['GetObject', KEY, 'bytes=0-65535'],
    ]);
  });

  test('gives any part, each only of the version that was opened', async () => {
    const { store, file, etag } = await givenObject();
    const opened = await file.open({ signal });
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 310_000 }), fc.nat({ max: 200_000 }), async (offset, length) => {
        const part = await opened.read(offset, length, signal);
        expect(Buffer.from(part).equals(data.subarray(offset, offset + length))).toBe(true);
      }),
      { numRuns: 30 },
    );
    const later = store.requests.slice(1);
    expect(later.length).toBeGreaterThan(0);
    expect(new Set(later.map(({ headers }) => headers['if-match']))).toEqual(new Set([etag]));
  });

  test.each([{ ignoreIfMatch: false }, { ignoreIfMatch: true }])(
    'and replaced then is found out, whatever the store looks at: %o',
    async (quirks) => {
      const { store, file } = await givenObject();
      const opened = await file.open({ signal });
      Object.assign(store.quirks, quirks);
      store.put(BUCKET, KEY, randomBytes(300_000));
      await expect(opened.read(100_000, 10, signal)).rejects.toMatchObject({
        code: 'SOURCE_CHANGED',
        retryable: true,
      });
    },
  );

  test('that is known costs no bytes, and cannot be read', async () => {
    const { store, file, version } = await givenObject();
    const opened = await file.open({ knownVersion: version, signal });
    expect(opened).toMatchObject({ size: 300_000, version });
    expect(store.requests.map(({ status, bytesSent }) => [status, bytesSent])).toEqual([[304, 0]]);
    await expect(opened.read(0, 10, signal)).rejects.toThrow('cannot be read');
  });

  test.each([{ ignoreIfNoneMatch: true }, { ignoreRange: true }])(
    'that is known is told by its version where the store is simple: %o',
    async (quirks) => {
      const { store, file, version } = await givenObject();
      Object.assign(store.quirks, { ignoreIfNoneMatch: true, ...quirks });
      const opened = await file.open({ knownVersion: version, signal });
      expect(opened).toMatchObject({ size: 300_000, version });
      expect(Buffer.from(await opened.read(70_000, 10, signal)).equals(data.subarray(70_000, 70_010))).toBe(
        true,
      );
      opened.close();
    },
  );

  test('that is another one by now is opened, although one was known', async () => {
    const { store, file, version } = await givenObject();
    const { etag } = store.put(BUCKET, KEY, randomBytes(5));
    await expect(file.open({ knownVersion: version, signal })).resolves.toMatchObject({
      size: 5,
      version: `${etag};5`,
    });
  });

  test('and is empty is broken', async () => {
    const { file } = await givenObject(Buffer.alloc(0));
    await expect(file.open({ signal })).rejects.toMatchObject({ code: 'VIDEO_FILE_BROKEN' });
    await expect(file.request(NOTHING, signal)).rejects.toMatchObject({ code: 'VIDEO_FILE_BROKEN' });
  });

  test('and is empty is so as well where the size is told in XML only', async () => {
    const store = await bench.store();
    store.put(BUCKET, KEY, data);
    const body = '<Error><Code>InvalidRange</Code><ActualObjectSize>0</ActualObjectSize></Error>';
    store.script(() => ({ status: 416, body }));
    await expect(bench.source(store).file(KEY).open({ signal })).rejects.toMatchObject({
      code: 'VIDEO_FILE_BROKEN',
    });
    expect(store.requests).toHaveLength(1);
  });

  test('and calls itself a text is refused', async () => {
    const { file } = await givenObject(data, { contentType: 'text/plain' });
    await expect(file.open({ signal })).rejects.toMatchObject({ code: 'UNSUPPORTED_MEDIA_TYPE' });
  });

  test('without an ETag is known by time and size, in the listing as well', async () => {
    const lastModified = new Date('2026-03-04T05:06:07Z');
    const { source, file } = await givenObject(data, { etag: '', lastModified });
    const version = 'Wed, 04 Mar 2026 05:06:07 GMT;300000';
    const opened = await file.open({ signal });
    expect(opened.version).toBe(version);
    expect(Buffer.from(await opened.read(299_990, 100, signal)).equals(data.subarray(299_990))).toBe(true);
    expect((await source.list({ prefix: null, position: null, signal })).objects[0]?.version).toBe(version);
    const { answer, discard } = await file.request({ bytes: 100, version, total: null }, signal);
    discard();
    expect(answer).toMatchObject({ kind: 'APPEND', version });
  });

  test('with a weak ETag is known by time', async () => {
    const lastModified = new Date('2026-03-04T05:06:07Z');
    const { file } = await givenObject(data, { etag: 'W/"x"', lastModified });
    expect((await file.open({ signal })).version).toBe('Wed, 04 Mar 2026 05:06:07 GMT;300000');
  });

  test.each(['films', 'films/', 'elsewhere/a.mp4', '', 'films/\ud800.mp4', `films/${'x'.repeat(1020)}`])(
    'outside of what the source holds is not there, and not asked for: %j',
    async (key) => {
      const store = await bench.store();
      const file = bench.source(store, { location: { prefix: 'films/a' } }).file(key);
      await expect(file.open({ signal })).rejects.toMatchObject({ code: 'SOURCE_NOT_FOUND' });
      await expect(file.request(NOTHING, signal)).rejects.toMatchObject({ code: 'SOURCE_NOT_FOUND' });
      expect(store.requests).toHaveLength(0);
    },
  );

  test.each([
    '../up',
    'a/../b',
    './here',
    '//double',
    'slash/',
    'line\nbreak',
    '?a=b&c#d',
    "!'()*",
    '\u0001',
    '💾/ü',
  ])('has the key that it was asked for by: %j', async (key) => {
    const store = await bench.store();
    store.put(BUCKET, key, 'bytes of it');
    const opened = await bench.source(store).file(key).open({ signal });
    expect(Buffer.from(await opened.read(0, 100, signal)).toString()).toBe('bytes of it');
    expect(store.requests.map((request) => request.key)).toEqual([key]);
  });
});

describe('a request for bytes', () => {
  test('gives the whole file at first', async () => {
    const { file, store, version } = await givenObject();
    const { answer, body, host } = await file.request(NOTHING, signal);
    expect(answer).toEqual({ kind: 'WHOLE', version, total: 300_000, isOther: false });
    expect(host).toBe('127.0.0.1');
    expect((await bytesOf(body)).equals(data)).toBe(true);
    expect(store.requests[0]?.headers).not.toHaveProperty('if-match');
  });

  test('goes on where it was, in the same version', async () => {
    const { file, store, version, etag } = await givenObject();
    const { answer, body } = await file.request({ bytes: 100_000, version, total: null }, signal);
    expect(answer).toEqual({ kind: 'APPEND', version, total: 300_000, isOther: false });
    expect((await bytesOf(body)).equals(data.subarray(100_000))).toBe(true);
    expect(store.requests[0]?.headers).toMatchObject({ range: 'bytes=100000-', 'if-match': etag });
  });

  test('tells that nothing is behind what is known', async () => {
    const { file, version } = await givenObject();
    const known = { bytes: 300_000, version, total: null };
    await expect(file.request(known, signal)).resolves.toMatchObject({ answer: { kind: 'COMPLETE' } });
  });

  test.each([0, 100_000, 300_000])('tells that the version of %i bytes is gone', async (bytes) => {
    const { file, store, version } = await givenObject();
    store.put(BUCKET, KEY, randomBytes(300_000));
    const known = { bytes, version, total: 300_000 };
    await expect(file.request(known, signal)).resolves.toMatchObject({ answer: { kind: 'CHANGED' } });
  });

  test('of a store that does not look at If-Match never takes another version for the same', async () => {
    const { file, store, version } = await givenObject();
    store.quirks.ignoreIfMatch = true;
    const { etag } = store.put(BUCKET, KEY, randomBytes(300_000));
    const part = await file.request({ bytes: 100_000, version, total: null }, signal);
    part.discard();
    expect(part.answer).toEqual({ kind: 'CHANGED' });
    const whole = await file.request({ bytes: 0, version, total: null }, signal);
    whole.discard();
    expect(whole.answer).toMatchObject({ kind: 'WHOLE', version: `${etag};300000`, isOther: true });
  });

  test('of a store that does not look at Range gives the whole file', async () => {
    const { file, store, version } = await givenObject();
    store.quirks.ignoreRange = true;
    const { answer, body } = await file.request({ bytes: 100_000, version, total: null }, signal);
    expect(answer).toEqual({ kind: 'WHOLE', version, total: 300_000, isOther: false });
    expect((await bytesOf(body)).equals(data)).toBe(true);
  });

  test('that is cut fails, and may be tried again', async () => {
    const { file, store } = await givenObject();
    store.script(() => ({ cutAfterBytes: 50_000 }));
    const { body } = await file.request(NOTHING, signal);
    await expect(bytesOf(body)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true });
    expect(store.requests).toHaveLength(1);
  });

  test('that stands still is cut off', async () => {
    const store = await bench.store();
    store.put(BUCKET, KEY, data);
    store.script(() => ({ stallAfterBytes: 50_000 }));
    const { body } = await bench.source(store, { stallTimeoutMs: 100 }).file(KEY).request(NOTHING, signal);
    await expect(bytesOf(body)).rejects.toMatchObject({
      name: 'SourceError',
      message: expect.stringContaining('less than 1 KB/s'),
    });
  });

  test('that is never answered ends by its own time limit', async () => {
    const store = await bench.store();
    store.script(() => ({ hang: true }));
    const source = bench.source(store, { agent: { headersTimeoutMs: 100 } });
    await expect(source.file(KEY).request(NOTHING, signal)).rejects.toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      retryable: true,
      message: '127.0.0.1 did not answer in time.',
    });
  });

  test('ends with the reason of an abort, before and within the answer', async () => {
    const { file, store } = await givenObject();
    const remove = store.script(() => ({ hang: true }));
    const early = new AbortController();
    const asked = file.request(NOTHING, early.signal);
    await expect.poll(() => store.requests).toHaveLength(1);
    early.abort(new Error('enough'));
    await expect(asked).rejects.toThrow('enough');
    remove();
    store.script(() => ({ stallAfterBytes: 50_000 }));
    const late = new AbortController();
    const { body } = await file.request(NOTHING, late.signal);
    const reading = bytesOf(body);
    late.abort(new Error('enough of it'));
    await expect(reading).rejects.toThrow('enough of it');
    await expect.poll(() => store.requests.every(({ endedAt }) => endedAt !== null)).toBe(true);
  });

  test('whose body nobody wants is given up', async () => {
    const { file, store } = await givenObject(Buffer.alloc(50_000_000));
    const { discard } = await file.request(NOTHING, signal);
    expect(store.requests[0]?.endedAt).toBeNull();
    discard();
    await expect.poll(() => store.requests[0]?.endedAt).not.toBeNull();
  });
});

describe('the way out', () => {
  test('does not lead to addresses that are not allowed', async () => {
    const victim = await startVictim();
    bench.later(() => victim.close());
    const endpoint = `http://127.0.0.2:${victim.port}`;
    const source = bench.source({ endpoint, accessKeyId: 'AKIAX', secretAccessKey: 'secret' });
    const refusal = { code: 'SOURCE_FORBIDDEN_ADDRESS', retryable: false };
    await expect(source.check(signal)).rejects.toMatchObject(refusal);
    await expect(source.list({ prefix: null, position: null, signal })).rejects.toMatchObject(refusal);
    await expect(source.file(KEY).open({ signal })).rejects.toMatchObject(refusal);
    expect(victim.connections()).toBe(0);
  });

  test.each([301, 302, 307])('follows no redirect, whatever it leads to: %i', async (status) => {
    const victim = await startVictim('127.0.0.1');
    bench.later(() => victim.close());
    const store = await bench.store();
    store.script(() => ({ status, headers: { location: `http://127.0.0.1:${victim.port}/videos` } }));
    const source = bench.source(store);
    await expect(source.check(signal)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    await expect(source.file(KEY).open({ signal })).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect(victim.connections()).toBe(0);
  });

  test('reaches a bucket by its host name', async () => {
    const store = await bench.store({ host: 'store.test' });
    store.put(BUCKET, KEY, data);
    const asked: string[] = [];
    const lookup = async (name: string) => {
      asked.push(name);
      return [{ address: '127.0.0.1', family: 4 }];
    };
    const source = bench.source(store, { location: { forcePathStyle: false }, agent: { lookup } });
    await expect(source.file(KEY).open({ signal })).resolves.toMatchObject({ size: 300_000 });
    expect(asked).toEqual(['videos.store.test']);
  });

  test('of a public bucket is unsigned', async () => {
    const store = await bench.store();
    store.createBucket('open', { public: true });
    store.put('open', KEY, data);
    const source = bench.source(store, { location: { bucket: 'open' }, credentials: 'ANONYMOUS' });
    await source.check(signal);
    await source.file(KEY).open({ signal });
    expect(store.requests.map(({ signed }) => signed)).toEqual([false, false]);
  });

  test('takes nothing from the environment or from ~/.aws', async () => {
    const home = await mkdtemp(join(tmpdir(), 'sluice-home-'));
    bench.later(() => rm(home, { recursive: true }));
    await mkdir(join(home, '.aws'));
    const trap = 'http://127.0.0.1:9';
    await writeFile(
      join(home, '.aws/config'),
      `[default]\nendpoint_url = ${trap}\nretry_mode = wrong\nmax_attempts = wrong\nregion = nowhere-1\nuse_fips_endpoint = wrong\ns3_use_arn_region = wrong\n`,
    );
    await writeFile(
      join(home, '.aws/credentials'),
      '[default]\naws_access_key_id = CANARY\naws_secret_access_key = x\n',
    );
    vi.stubEnv('HOME', home);
    for (const name of ['AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_S3', 'HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY'])
      vi.stubEnv(name, trap);
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'CANARY');
    vi.stubEnv('AWS_REGION', 'nowhere-1');
    vi.stubEnv('AWS_SDK_UA_APP_ID', 'CANARY');
    bench.later(() => vi.unstubAllEnvs());
    const store = await bench.store();
    store.createBucket('open', { public: true });
    await bench.source(store).check(signal);
    await bench.source(store, { location: { bucket: 'open' }, credentials: 'ANONYMOUS' }).check(signal);
    expect(store.requests).toHaveLength(2);
    expect(JSON.stringify(store.requests)).not.toMatch(/CANARY|nowhere/);
    // Nor does a place that has no endpoint get one: its name is asked for, and that is that.
    const asked: string[] = [];
    const lookup = (name: string) => {
      asked.push(name);
      return Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' }));
    };
    const aws = bench.source(store, {
      location: { endpoint: undefined as never, forcePathStyle: false },
      agent: { lookup },
    });
    await expect(aws.check(signal)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect(new Set(asked)).toEqual(new Set(['videos.s3.us-east-1.amazonaws.com']));
  });

  test('uses what AWS finds on the machine where it is told to', async () => {
    const store = await bench.store();
    vi.stubEnv('AWS_ACCESS_KEY_ID', store.accessKeyId);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', store.secretAccessKey);
    bench.later(() => vi.unstubAllEnvs());
    await bench.source(store, { credentials: 'DEFAULT' }).check(signal);
    expect(store.requests[0]?.signed).toBe(true);
  });
});

test('neither messages nor the log hold a secret', async () => {
  const { log, text } = createTestLog();
  const store = await bench.store();
  store.put(BUCKET, KEY, data);
  const secrets = {
    accessKeyId: store.accessKeyId,
    secretAccessKey: 'CANARY-secret',
    sessionToken: 'CANARY-token',
  };
  const messages: unknown[] = [];
  const tell = (error: unknown) =>
    messages.push(error, String(error), JSON.stringify(error), (error as Error).cause);
  const source = bench.source(store, { credentials: secrets, log });
  await source.check(signal).catch(tell);
  await source.file(KEY).open({ signal }).catch(tell);
  store.script(() => 'reset');
  await source.file(KEY).open({ signal }).catch(tell);
  const body =
    '<Error><Code>SignatureDoesNotMatch</Code><Message>CANARY</Message><StringToSign>CANARY</StringToSign></Error>';
  store.script(() => ({ status: 403, body }));
  await source.file(KEY).open({ signal }).catch(tell);
  expect(messages).toHaveLength(16);
  expect(text()).toContain('source answered');
  expect(text() + inspect(messages, { depth: 8 })).not.toMatch(/CANARY|[Ss]ignature=|X-Amz|AWS4/);
});

test('places are the same for the same bucket, and other for any other', async () => {
  const store = { endpoint: 'http://127.0.0.1:9000', accessKeyId: 'x', secretAccessKey: 'y' };
  const placeOf = (location: object) => bench.source(store, { location }).place;
  const aws = placeOf({ endpoint: undefined });
  expect(placeOf({ endpoint: undefined, region: 'eu-west-1', prefix: 'a/' })).toBe(aws);
  expect(placeOf({ endpoint: 'https://s3.eu-west-1.amazonaws.com/' })).toBe(aws);
  expect(placeOf({ endpoint: 'https://STORE.example:443/' })).toBe(
    placeOf({ endpoint: 'https://store.example' }),
  );
  const places = [
    aws,
    placeOf({ endpoint: undefined, bucket: 'other' }),
    placeOf({ endpoint: undefined, region: 'cn-north-1' }),
    placeOf({ endpoint: 'https://store.example' }),
    placeOf({ endpoint: 'http://store.example' }),
    placeOf({ endpoint: 'https://store.example:8443' }),
    placeOf({ endpoint: 'https://store.example/s3' }),
    placeOf({ endpoint: 'https://s3.evil.example' }),
    placeOf({ endpoint: 'https://s3.amazonaws.com.evil.example' }),
  ];
  expect(new Set(places).size).toBe(places.length);
});
