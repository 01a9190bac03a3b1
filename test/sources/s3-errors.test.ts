import { afterEach, describe, expect, test, vi } from 'vitest';
import type { SourceError } from '../../src/sources/errors.ts';
import { unavailable } from '../../src/sources/http-errors.ts';
import type { S3Credentials } from '../../src/sources/s3.ts';
import type { ObjectSource } from '../../src/sources/source.ts';
import { tryAgain } from '../../src/sources/try-again.ts';
import type { ScriptedAnswer } from '../support/s3.ts';
import { makeCertificate, startOrigin } from './origin.ts';
import { BUCKET, createS3Bench, type S3SourceSettings, signal } from './s3-source.ts';

const bench = createS3Bench();

afterEach(() => bench.close());

const list = (source: ObjectSource) => source.list({ prefix: null, position: null, signal });
const open = (source: ObjectSource) => source.file('a.mp4').open({ signal });

async function errorOf(work: Promise<unknown>): Promise<SourceError> {
  const error = await work.then(
    () => new Error('it succeeded'),
    (reason: unknown) => reason,
  );
  expect(error).toHaveProperty('name', 'SourceError');
  return error as SourceError; // As its name says.
}

describe('what the store itself finds wrong', () => {
  const given = async (settings: S3SourceSettings = {}) => {
    const store = await bench.store();
    store.createBucket('irish', { region: 'eu-west-1' });
    store.createBucket('irish-open', { region: 'eu-west-1', public: true });
    store.put(BUCKET, 'archived.mp4', 'bytes', { storageClass: 'GLACIER' });
    return { store, source: bench.source(store, settings) };
  };

  test('a bucket that is not there', async () => {
    const { source } = await given({ location: { bucket: 'none' } });
    for (const ask of [(asked: ObjectSource) => asked.check(signal), list, open]) {
      expect(await errorOf(ask(source))).toMatchObject({
        code: 'SOURCE_NOT_FOUND',
        retryable: false,
        message: '127.0.0.1 has no bucket "none"; check its name, region and endpoint.',
      });
    }
  });

  test('an object that is not there', async () => {
    const { source, store } = await given();
    expect(await errorOf(open(source))).toMatchObject({
      code: 'SOURCE_NOT_FOUND',
      retryable: false,
      message: 'The bucket "videos" has no such object; it was removed or renamed.',
    });
    expect(store.requests).toHaveLength(1);
  });

  test('an archived object', async () => {
    const { source } = await given();
    expect(await errorOf(source.file('archived.mp4').open({ signal }))).toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      retryable: false,
      message: 'The object is archived; restore it first, and import it again then.',
    });
  });

  test('a wrong key, and a wrong secret', async () => {
    const { store } = await given();
    const { accessKeyId, secretAccessKey } = store;
    const withKey = (credentials: S3Credentials) => bench.source(store, { credentials });
    const unknown = await errorOf(withKey({ accessKeyId: 'AKIANOBODY', secretAccessKey }).check(signal));
    expect(unknown).toMatchObject({ code: 'SOURCE_NOT_AUTHORIZED', retryable: false });
    expect(unknown.message).toContain('does not know the access key id');
    const wrong = await errorOf(withKey({ accessKeyId, secretAccessKey: 'no' }).check(signal));
    expect(wrong).toMatchObject({ code: 'SOURCE_NOT_AUTHORIZED', retryable: false });
    expect(wrong.message).toContain('secret access key does not belong');
  });

  test('no credentials where some are needed', async () => {
    const { source } = await given({ credentials: 'ANONYMOUS' });
    expect(await errorOf(list(source))).toMatchObject({
      code: 'SOURCE_NOT_AUTHORIZED',
      message:
        'The bucket "videos" may not be listed; give credentials that have s3:ListBucket, or allow it to everybody.',
    });
    expect((await errorOf(open(source))).message).toContain('s3:GetObject');
  });

  test.each([
    ['irish', undefined],
    ['irish-open', 'ANONYMOUS' as const],
  ])('another region: %s', async (bucket, credentials) => {
    const { source, store } = await given({ location: { bucket }, ...(credentials && { credentials }) });
    for (const ask of [list, open]) {
      expect(await errorOf(ask(source))).toMatchObject({
        code: 'SOURCE_UNAVAILABLE',
        retryable: false,
        message: `The bucket "${bucket}" is in eu-west-1: set that region.`,
      });
    }
    expect(store.requests).toHaveLength(2);
    await bench.source(store, { location: { bucket, region: 'eu-west-1' } }).check(signal);
  });
});

describe('an answer', () => {
  const listed = async (answer: ScriptedAnswer) => {
    const store = await bench.store();
    store.script(() => answer);
    return errorOf(open(bench.source(store)));
  };

  test.each([
    ['AccessDenied', 403, 'SOURCE_NOT_AUTHORIZED', 'allow s3:GetObject to the credentials'],
    ['', 403, 'SOURCE_NOT_AUTHORIZED', 'allow s3:GetObject to the credentials'],
    ['', 401, 'SOURCE_NOT_AUTHORIZED', 'allow s3:GetObject to the credentials'],
    ['ExpiredToken', 400, 'SOURCE_NOT_AUTHORIZED', 'credentials have expired'],
    ['InvalidToken', 400, 'SOURCE_NOT_AUTHORIZED', 'session token'],
    ['RequestTimeTooSkewed', 403, 'SOURCE_UNAVAILABLE', "set this server's clock right"],
    ['NotImplemented', 501, 'SOURCE_UNAVAILABLE', 'NotImplemented, HTTP 501'],
    ['InvalidRequest', 400, 'SOURCE_UNAVAILABLE', 'InvalidRequest, HTTP 400'],
    ['PermanentRedirect', 301, 'SOURCE_UNAVAILABLE', 'is in another region'],
    ['', 302, 'SOURCE_UNAVAILABLE', 'set the endpoint that it leads to'],
    ['', 404, 'SOURCE_NOT_FOUND', 'no such object'],
    ['<script>', 418, 'SOURCE_UNAVAILABLE', 'refused to give the object (HTTP 418)'],
  ])('%s with HTTP %i is for good', async (code, status, expected, message) => {
    const error = await listed({ status, ...(code === '' ? {} : { code }) });
    expect(error).toMatchObject({ code: expected, retryable: false });
    expect(error.message).toContain(message);
  });

  test.each([
    ['SlowDown', 503],
    ['InternalError', 500],
    ['', 502],
    ['', 429],
    ['RequestTimeout', 400],
    ['OperationAborted', 409],
  ])('%s with HTTP %i may pass', async (code, status) => {
    const error = await listed({ status, ...(code === '' ? {} : { code }), retryAfter: 7 });
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true, retryAfterSeconds: 7 });
  });

  test.each(['<html><h1>Welcome</h1>', 'plain text', '{"error":1}', '<?xml'])(
    'that is an error, but not one of S3: %j',
    async (body) => {
      expect(await listed({ status: 403, body })).toMatchObject({ code: 'SOURCE_NOT_AUTHORIZED' });
      expect(await listed({ status: 503, body })).toMatchObject({
        code: 'SOURCE_UNAVAILABLE',
        retryable: true,
      });
    },
  );

  test.each(['plain text', '<a', '<html><h1>Welcome</h1>', '<html><h1>Welcome</h1></html>', '', '<Error/>'])(
    'that is no list at all is no empty bucket: %j',
    async (body) => {
      const store = await bench.store();
      store.script(() => ({ status: 200, body }));
      for (const ask of [list, (asked: ObjectSource) => asked.check(signal)]) {
        expect(await errorOf(ask(bench.source(store)))).toMatchObject({
          code: 'SOURCE_UNAVAILABLE',
          message: expect.stringContaining('not one of S3'),
        });
      }
    },
  );

  test('that is far too long is not read', async () => {
    const origin = await startOrigin((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/xml' });
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, 'x')));
      };
      response.on('drain', more);
      more();
    });
    bench.later(() => origin.close());
    const source = bench.source({ endpoint: origin.url.origin, accessKeyId: 'x', secretAccessKey: 'y' });
    expect(await errorOf(list(source))).toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      message: expect.stringContaining('more than an answer of S3 can have'),
    });
  });
});

describe('a listing', () => {
  test('is tried again when the store is busy, no sooner than it says', async () => {
    const store = await bench.store();
    let tries = 0;
    store.script(() => (tries++ < 2 ? { status: 503, code: 'SlowDown', retryAfter: 1 } : undefined));
    const before = performance.now();
    await list(bench.source(store));
    expect(store.requests).toHaveLength(3);
    expect(performance.now() - before).toBeGreaterThan(1900);
  });

  test('that keeps failing ends, and says for how long', async () => {
    const store = await bench.store();
    store.script(() => ({ status: 503, code: 'SlowDown', retryAfter: 0 }));
    expect(await errorOf(list(bench.source(store)))).toMatchObject({ retryable: true, retryAfterSeconds: 0 });
    expect(store.requests).toHaveLength(3);
  });

  test('that is to be asked for much later is left to whoever asked', async () => {
    const store = await bench.store();
    store.script(() => ({ status: 503, code: 'SlowDown', retryAfter: 900 }));
    expect(await errorOf(list(bench.source(store)))).toMatchObject({ retryAfterSeconds: 900 });
    expect(store.requests).toHaveLength(1);
  });

  test('survives resets', async () => {
    const store = await bench.store();
    let tries = 0;
    store.script(() => (tries++ < 2 ? 'reset' : undefined));
    await list(bench.source(store));
    expect(tries).toBe(3);
  });

  test('ends with the reason of an abort', async () => {
    const store = await bench.store();
    const source = bench.source(store);
    store.script(() => ({ hang: true }));
    const controller = new AbortController();
    const listing = source.list({ prefix: null, position: null, signal: controller.signal });
    await expect.poll(() => store.requests).toHaveLength(1);
    controller.abort(new Error('enough'));
    await expect(listing).rejects.toThrow('enough');
    await expect(source.check(AbortSignal.abort(new Error('never')))).rejects.toThrow('never');
    expect(store.requests).toHaveLength(1);
  });

  test('that pauses ends with the reason of an abort at once', async () => {
    const controller = new AbortController();
    const work = vi.fn(() => Promise.reject(unavailable('busy', { retryable: true, retryAfterSeconds: 10 })));
    const trying = tryAgain(work, controller.signal);
    await new Promise(setImmediate);
    const before = performance.now();
    controller.abort(new Error('enough'));
    await expect(trying).rejects.toThrow('enough');
    expect(work).toHaveBeenCalledTimes(1);
    expect(performance.now() - before).toBeLessThan(8000);
  });
});

test('an object is asked for once, whatever comes', async () => {
  const store = await bench.store();
  store.put(BUCKET, 'a.mp4', 'bytes');
  store.script(() => ({ status: 503, code: 'SlowDown' }));
  await errorOf(open(bench.source(store)));
  expect(store.requests).toHaveLength(1);
});

test('a clock that is wrong is allowed for, as soon as the store tells the time', async () => {
  const store = await bench.store();
  const hour = 3_600_000;
  const date = new Date(Date.now() + hour).toUTCString();
  const signedAt = (text = '') =>
    Date.parse(text.replace(/(....)(..)(..)T(..)(..)(..)Z/, '$1-$2-$3T$4:$5:$6Z'));
  store.script(({ headers }) =>
    Math.abs(signedAt(headers['x-amz-date']) - Date.now() - hour) > 900_000
      ? { status: 403, code: 'RequestTimeTooSkewed', headers: { date } }
      : { status: 200, headers: { date, etag: '"x"' }, body: 'bytes' },
  );
  await expect(open(bench.source(store))).resolves.toMatchObject({ size: 5 });
  expect(store.requests).toHaveLength(2);
});

describe('a store that cannot be reached', () => {
  const keys = { accessKeyId: 'x', secretAccessKey: 'y' };

  test('because nothing listens there', async () => {
    // Nobody is given this port by chance, as one that was free a moment ago may be.
    const source = bench.source({ endpoint: 'http://127.0.0.1:1', ...keys });
    expect(await errorOf(open(source))).toMatchObject({
      retryable: true,
      message: '127.0.0.1 refused the connection.',
    });
  });

  test('because its name is none', async () => {
    const lookup = () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' }));
    const source = bench.source({ endpoint: 'http://nowhere.test', ...keys }, { agent: { lookup } });
    expect(await errorOf(source.check(signal))).toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      retryable: false,
      message: 'There is no host nowhere.test; check the URL.',
    });
  });

  test('because its certificate is not valid', async () => {
    const origin = await startOrigin(
      (_request, response) => void response.end(),
      makeCertificate(['localhost']),
    );
    bench.later(() => origin.close());
    const source = bench.source({ endpoint: `https://localhost:${origin.port}`, ...keys });
    const error = await errorOf(open(source));
    expect(error.message).toContain('The certificate of localhost is not valid');
    expect(origin.requests).toHaveLength(0);
  });

  test('because bucket and region make no address', async () => {
    const store = await bench.store();
    expect(await errorOf(bench.source(store, { location: { bucket: 'a/b' } }).check(signal))).toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      retryable: false,
    });
    expect(store.requests).toHaveLength(0);
  });
});
