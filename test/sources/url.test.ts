import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { createHttpClient, type HttpClient } from '../../src/sources/http-client.ts';
import { openUrl } from '../../src/sources/url.ts';
import { answerFile, type Origin, startOrigin, startRawOrigin } from './origin.ts';

const signal = new AbortController().signal;
const data = randomBytes(300_000);
const etag = '"v1"';
let cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  cleanups = [];
});

async function given(starting: Promise<Origin>): Promise<{ origin: Origin; client: HttpClient }> {
  const origin = await starting;
  const client = createHttpClient({ allowAddresses: ['127.0.0.1/32'] });
  cleanups.push(
    () => origin.close(),
    () => client.close(),
  );
  return { origin, client };
}
const givenOrigin = (handler: Parameters<typeof startOrigin>[0]) => given(startOrigin(handler));
const givenRaw = (handler: Parameters<typeof startRawOrigin>[0]) => given(startRawOrigin(handler));

describe('a server with ranges', () => {
  const serve = () => givenOrigin((request, response) => answerFile(request, response, data, { etag }));

  test('is asked once, with GET, for the first 64 KiB', async () => {
    const { origin, client } = await serve();
    const file = await openUrl(client, origin.url, { signal });
    expect(file).toMatchObject({
      size: 300_000,
      version: etag,
      contentType: 'video/mp4',
      acceptsRanges: true,
    });
    expect(Buffer.from(await file.read(0, 1000, signal)).equals(data.subarray(0, 1000))).toBe(true);
    expect(origin.requests.map(({ method, headers }) => [method, headers.range])).toEqual([
      ['GET', 'bytes=0-65535'],
    ]);
  });

  test('gives any part of the file, and less only at its end', async () => {
    const { origin, client } = await serve();
    const file = await openUrl(client, origin.url, { signal });
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 310_000 }), fc.nat({ max: 200_000 }), async (offset, length) => {
        const part = await file.read(offset, length, signal);
        expect(Buffer.from(part).equals(data.subarray(offset, offset + length))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('is not asked again for what the first answer held', async () => {
    const { origin, client } = await serve();
    const file = await openUrl(client, origin.url, { signal });
    await file.read(65_000, 1000, signal);
    await file.read(299_999, 500, signal);
    await file.read(300_000, 500, signal);
    expect(origin.requests.map(({ headers }) => headers.range)).toEqual([
      'bytes=0-65535',
      'bytes=65536-65999',
      'bytes=299999-299999',
    ]);
    expect(origin.requests[1]?.headers['if-range']).toBe(etag);
  });

  test('that replaced the file meanwhile is found out', async () => {
    let current = { data, etag };
    const { origin, client } = await givenOrigin((request, response) =>
      answerFile(request, response, current.data, current),
    );
    const file = await openUrl(client, origin.url, { signal });
    current = { data: randomBytes(300_000), etag: '"v2"' };
    await expect(file.read(100_000, 10, signal)).rejects.toMatchObject({
      code: 'SOURCE_CHANGED',
      retryable: true,
    });
  });

  test('that replaced the file and ignores If-Range is found out as well', async () => {
    const { origin, client } = await givenOrigin((request, response, index) => {
      delete request.headers['if-range'];
      answerFile(request, response, data, { etag: `"v${index}"` });
    });
    const file = await openUrl(client, origin.url, { signal });
    await expect(file.read(100_000, 10, signal)).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
  });

  test.each([
    ['another part', 'bytes 0-9/300000'],
    ['no range', undefined],
    ['nonsense', 'bytes 100000-/300000'],
    ['more than asked for', 'bytes 100000-100019/300000'],
    ['less than asked for', 'bytes 100000-100004/300000'],
  ])('that answers with %s is not believed', async (_name, range) => {
    const { origin, client } = await givenOrigin((request, response, index) => {
      if (index === 0) return answerFile(request, response, data, { etag });
      response
        .writeHead(206, { etag, ...(range === undefined ? {} : { 'content-range': range }) })
        .end('0123456789');
    });
    const file = await openUrl(client, origin.url, { signal });
    await expect(file.read(100_000, 10, signal)).rejects.toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      retryable: true,
    });
  });

  test('behind a redirect is asked directly, and anew when that has expired', async () => {
    let serial = 0;
    const { origin, client } = await givenOrigin((request, response) => {
      if (request.url === '/video.mp4')
        return void response.writeHead(302, { location: `/signed?${serial}` }).end();
      if (request.url !== `/signed?${serial}`) return void response.writeHead(403).end();
      answerFile(request, response, data, { etag });
    });
    const file = await openUrl(client, origin.url, { signal });
    await file.read(100_000, 10, signal);
    serial = 1;
    expect(Buffer.from(await file.read(200_000, 10, signal)).equals(data.subarray(200_000, 200_010))).toBe(
      true,
    );
    const paths = ['/video.mp4', '/signed?0', '/signed?0', '/signed?0', '/video.mp4', '/signed?1'];
    expect(origin.requests.map(({ path }) => path)).toEqual(paths);
  });

  test('that does not know the size gives parts all the same', async () => {
    const { origin, client } = await givenOrigin((request, response) => {
      const [start, end] =
        /(\d+)-(\d+)/
          .exec(request.headers.range ?? '')
          ?.slice(1)
          .map(Number) ?? [];
      const part = data.subarray(start ?? 0, (end ?? 0) + 1);
      response
        .writeHead(206, { 'content-range': `bytes ${start}-${(start ?? 0) + part.length - 1}/*` })
        .end(part);
    });
    const file = await openUrl(client, origin.url, { signal });
    expect(file).toMatchObject({ size: null, version: null, acceptsRanges: true });
    expect(Buffer.from(await file.read(290_000, 50_000, signal)).equals(data.subarray(290_000))).toBe(true);
  });
});

describe('a server without ranges', () => {
  test('lets the beginning be read, and nothing far behind it', async () => {
    const big = randomBytes(12 * 1024 * 1024);
    const { origin, client } = await givenOrigin((_request, response) => {
      response.writeHead(200, { 'content-length': big.length, etag });
      response.end(big);
    });
    const file = await openUrl(client, origin.url, { signal });
    expect(file).toMatchObject({ size: big.length, version: etag, acceptsRanges: false });
    const parts = [
      file.read(2_000_000, 1000, signal),
      file.read(0, 10, signal),
      file.read(4_000_000, 1000, signal),
    ];
    const read = Buffer.concat(await Promise.all(parts));
    const expected = [
      big.subarray(2_000_000, 2_001_000),
      big.subarray(0, 10),
      big.subarray(4_000_000, 4_001_000),
    ];
    expect(read.equals(Buffer.concat(expected))).toBe(true);
    await expect(file.read(big.length - 10, 10, signal)).rejects.toMatchObject({
      name: 'NotReadableAheadError',
    });
    file.close();
    await expect(file.read(6_000_000, 10, signal)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect(origin.requests).toHaveLength(1);
  });

  test('is not read on when nobody wants more', async () => {
    let written = 0;
    const { origin, client } = await givenOrigin((_request, response) => {
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536))) written += 65_536;
      };
      response.on('drain', more);
      more();
    });
    const file = await openUrl(client, origin.url, { signal });
    await file.read(0, 100_000, signal);
    const before = written;
    await new Promise((resolve) => setTimeout(resolve, 200));
    // What the kernel's buffers take is not ours to count.
    expect(written - before).toBeLessThan(16 * 1024 * 1024);
    file.close();
  });

  test('and without a length is read to its end if that is near', async () => {
    const { origin, client } = await givenOrigin((_request, response) => {
      response.write(data.subarray(0, 10));
      response.end(data.subarray(10, 100));
    });
    const file = await openUrl(client, origin.url, { signal });
    expect(file).toMatchObject({ size: 100, version: null, acceptsRanges: false });
    expect(Buffer.from(await file.read(50, 1000, signal)).equals(data.subarray(50, 100))).toBe(true);
  });

  test('that cuts its answer does not make a shorter file of it', async () => {
    const { origin, client } = await givenOrigin((request, response) =>
      answerFile(request, response, data, { ignoreRange: true, cutAfter: 100_000 }),
    );
    const file = await openUrl(client, origin.url, { signal });
    await expect(file.read(0, 200_000, signal)).rejects.toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      retryable: true,
    });
    await expect(file.read(0, 200_000, signal)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
  });

  test('a read that is aborted ends with the reason', async () => {
    const { origin, client } = await givenOrigin((_request, response) => {
      response.writeHead(200, { 'content-length': 200_000 });
      response.write(data.subarray(0, 100_000));
    });
    const file = await openUrl(client, origin.url, { signal });
    const controller = new AbortController();
    const reading = file.read(0, 150_000, controller.signal);
    controller.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
  });
});

describe('what is no video', () => {
  const openWith = async (status: number, headers: Record<string, string>, body = '') => {
    const { origin, client } = await givenOrigin((_request, response) =>
      response.writeHead(status, headers).end(body),
    );
    const opened = openUrl(client, origin.url, { signal });
    await opened.catch(() => {});
    return { opened, requests: origin.requests.length };
  };

  test.each([
    [404, 'SOURCE_NOT_FOUND'],
    [410, 'SOURCE_NOT_FOUND'],
    [401, 'SOURCE_NOT_AUTHORIZED'],
    [403, 'SOURCE_NOT_AUTHORIZED'],
  ])('HTTP %d is %s for good, after one request', async (status, code) => {
    const { opened, requests } = await openWith(status, { 'content-type': 'text/html' }, '<h1>Sorry</h1>');
    await expect(opened).rejects.toMatchObject({ code, retryable: false });
    expect(requests).toBe(1);
  });

  test('429 asks for patience', async () => {
    const { opened } = await openWith(429, { 'retry-after': '7' });
    await expect(opened).rejects.toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      retryable: true,
      retryAfterSeconds: 7,
    });
  });

  test.each([
    ['a 416 with total 0', 416, { 'content-range': 'bytes */0', 'content-type': 'text/html' }],
    ['an empty 200', 200, { 'content-length': '0', 'content-type': 'video/mp4' }],
    ['a 200 without length or bytes', 200, { 'transfer-encoding': 'chunked' }],
    ['a 204', 204, {}],
    ['a bare 416, and then an empty 200', 416, {}],
  ])('%s is an empty file', async (_name, status, headers: Record<string, string>) => {
    const { origin, client } = await givenOrigin((request, response) => {
      const answer = request.headers.range === undefined ? 200 : status;
      response.writeHead(answer, answer === status ? headers : { 'content-length': '0' }).end();
    });
    await expect(openUrl(client, origin.url, { signal })).rejects.toMatchObject({
      code: 'VIDEO_FILE_BROKEN',
      retryable: false,
    });
  });

  test.each([
    'text/html; charset=utf-8',
    'application/json',
    'image/png',
    'audio/mpeg',
    'application/vnd.apple.mpegurl',
  ])('a file that calls itself %s', async (type) => {
    const { opened } = await openWith(200, { 'content-type': type }, '<html>');
    await expect(opened).rejects.toMatchObject({ code: 'UNSUPPORTED_MEDIA_TYPE', retryable: false });
  });

  test('a compressed body is refused, a mistaken Content-Encoding is not', async () => {
    const gzip = await openWith(200, { 'content-encoding': 'gzip' }, 'zipped');
    await expect(gzip.opened).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: false });
    const chunked = await openWith(200, { 'content-encoding': 'aws-chunked' }, 'plain');
    await expect(chunked.opened).resolves.toMatchObject({ size: 5 });
  });

  test('an answer 206 to something else', async () => {
    const { opened } = await openWith(206, { 'content-range': 'bytes 10-14/100' }, 'later');
    await expect(opened).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
  });
});

test('a hash over a file read in parts equals that of the whole', async () => {
  const { origin, client } = await givenRaw((socket, head) => {
    const [start = 0, end = 0] = /bytes=(\d+)-(\d+)/.exec(head)?.slice(1).map(Number) ?? [];
    const part = data.subarray(start, end + 1);
    socket.write(
      `HTTP/1.1 206 Partial Content\r\nContent-Range: bytes ${start}-${start + part.length - 1}/${data.length}\r\nContent-Length: ${part.length}\r\n\r\n`,
    );
    socket.write(part);
  });
  const file = await openUrl(client, origin.url, { signal });
  const hash = createHash('sha256');
  for (let at = 0; at < data.length; at += 70_000) hash.update(await file.read(at, 70_000, signal));
  expect(hash.digest('hex')).toBe(createHash('sha256').update(data).digest('hex'));
});
