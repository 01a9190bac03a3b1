import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type DownloadOptions, download as downloadFile } from '../../src/sources/download.ts';
import type { Answer } from '../../src/sources/download-answer.ts';
import { SourceError } from '../../src/sources/errors.ts';
import { createHttpClient, type HttpClientOptions } from '../../src/sources/http-client.ts';
import type { SourceFile } from '../../src/sources/source.ts';
import { createUrlFile } from '../../src/sources/url-file.ts';
import type { Storage } from '../../src/storage/adapter.ts';
import { createFileStorage } from '../../src/storage/file.ts';
import { answerFile, type Origin, startOrigin, startRawOrigin } from './origin.ts';

const SIZE = 1_000_003;
const data = randomBytes(SIZE);
const other = randomBytes(SIZE);
const etag = '"v1"';
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const signal = new AbortController().signal;

let root: string;
let storage: Storage;
let cleanups: (() => Promise<unknown>)[] = [];
let count = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-download-'));
  storage = createFileStorage({ root });
});
afterAll(() => rm(root, { recursive: true, force: true }));
afterEach(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  cleanups = [];
});

type Options = Partial<DownloadOptions> & {
  /** What the writer holds before. */
  readonly earlier?: Uint8Array;
  readonly http?: Partial<HttpClientOptions>;
};

/** Downloads from an origin into the storage, and commits. */
async function download(starting: Promise<Origin>, options: Options = {}) {
  const origin = await starting;
  const client = createHttpClient({ allowAddresses: [origin.allow], ...options.http });
  cleanups.push(
    () => origin.close(),
    () => client.close(),
  );
  const key = `tasks/${++count}/original`;
  const writer = await storage.create(key);
  if (options.earlier) await writer.write(options.earlier);
  const versions: (string | null)[] = [];
  const progress: number[] = [];
  const listeners = {
    onVersion: (version: string | null) => versions.push(version),
    onProgress: (bytes: number) => progress.push(bytes),
  };
  const common = { maxBytes: 10_000_000, signal, ...listeners, ...options, writer };
  const finish = async () => {
    const result = await downloadFile(createUrlFile(client, origin.url), common);
    await writer.commit();
    return result;
  };
  try {
    const result = await finish();
    return { origin, result, key, versions, progress, stored: await buffer(await storage.read(key)) };
  } catch (error) {
    await writer.close();
    return { origin, error, key, versions, progress };
  }
}

type Handler = (request: IncomingMessage, response: ServerResponse, index: number) => void;
const serving = (handler: Handler) => startOrigin(handler);
const rangesOf = (origin: Origin) => origin.requests.map(({ headers }) => headers.range);

describe('a cut connection', () => {
  test('at 37 % is taken up at that byte, and the bytes are those of the file', async () => {
    const cutAfter = Math.floor(SIZE * 0.37);
    const { origin, result, stored, versions } = await download(
      serving((request, response, index) =>
        answerFile(request, response, data, index === 0 ? { etag, cutAfter } : { etag }),
      ),
    );
    expect(result).toEqual({ bytes: SIZE, sha256: sha256(data), version: etag });
    expect(stored?.equals(data)).toBe(true);
    expect(rangesOf(origin)).toEqual([undefined, `bytes=${cutAfter}-`]);
    expect(origin.requests[1]?.headers['if-range']).toBe(etag);
    expect(versions).toEqual([etag]);
  });

  test('is taken up wherever it was cut, several times', async () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 400_000 }), { maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(cuts, fc.boolean(), async (lengths, byDate) => {
        const version = byDate ? { lastModified: 'Thu, 01 Jan 2026 00:00:00 GMT' } : { etag };
        const { result, stored, error } = await download(
          serving((request, response, index) => {
            const cutAfter = lengths[index];
            answerFile(request, response, data, cutAfter === undefined ? version : { ...version, cutAfter });
          }),
        );
        expect(error).toBeUndefined();
        expect(result?.sha256).toBe(sha256(data));
        expect(stored?.equals(data)).toBe(true);
      }),
      { numRuns: 15 },
    );
  });

  test('of a server that tells no version is not glued together', async () => {
    const { origin, error } = await download(
      serving((request, response) => answerFile(request, response, data, { cutAfter: 100_000 })),
    );
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true });
    expect(origin.requests).toHaveLength(1);
  });

  test('that brings nothing new is not tried again at once, and what came is kept', async () => {
    const { origin, error, key } = await download(
      serving((request, response, index) =>
        answerFile(request, response, data, { etag, cutAfter: index === 0 ? 100_000 : 0 }),
      ),
    );
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true });
    expect(origin.requests).toHaveLength(2);
    expect(await storage.statPartial(key)).toMatchObject({ size: 100_000 });
  });

  test('after every few bytes ends after a few tries', async () => {
    const { origin, error } = await download(
      serving((request, response) => answerFile(request, response, data, { etag, cutAfter: 100 })),
    );
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true });
    expect(origin.requests.length).toBe(6);
  });

  test('followed by 503 is left to a later attempt, with what the server says of it', async () => {
    const { error } = await download(
      serving((request, response, index) => {
        if (index === 0) answerFile(request, response, data, { etag, cutAfter: 100_000 });
        else response.writeHead(503, { 'retry-after': '9' }).end();
      }),
    );
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true, retryAfterSeconds: 9 });
  });
});

describe('a later attempt', () => {
  function firstPart(length: number) {
    const earlier = data.subarray(0, length);
    return { earlier, from: { bytes: length, version: etag, hash: createHash('sha256').update(earlier) } };
  }

  test('goes on where the earlier one ended', async () => {
    const { origin, result, stored, progress } = await download(
      serving((request, response) => answerFile(request, response, data, { etag })),
      firstPart(654_321),
    );
    expect(result).toEqual({ bytes: SIZE, sha256: sha256(data), version: etag });
    expect(stored?.equals(data)).toBe(true);
    expect(rangesOf(origin)).toEqual(['bytes=654321-']);
    expect(progress[0]).toBeGreaterThan(654_321);
    expect(progress.at(-1)).toBe(SIZE);
  });

  test('that finds nothing missing is done', async () => {
    const { origin, result, stored } = await download(
      serving((request, response) => answerFile(request, response, data, { etag })),
      firstPart(SIZE),
    );
    expect(result).toEqual({ bytes: SIZE, sha256: sha256(data), version: etag });
    expect(stored?.equals(data)).toBe(true);
    expect(origin.requests).toHaveLength(1);
  });

  test('that finds another version begins anew', async () => {
    const { result, stored, versions } = await download(
      serving((request, response) => answerFile(request, response, other, { etag: '"v2"' })),
      firstPart(500_000),
    );
    expect(result).toEqual({ bytes: SIZE, sha256: sha256(other), version: '"v2"' });
    expect(stored?.equals(other)).toBe(true);
    expect(versions).toEqual(['"v2"']);
  });

  test('that finds a shorter file begins anew', async () => {
    const short = data.subarray(0, 300_000);
    const { result, stored, origin } = await download(
      serving((request, response) => {
        delete request.headers['if-range'];
        answerFile(request, response, short, { etag: '"v2"' });
      }),
      firstPart(500_000),
    );
    expect(result?.sha256).toBe(sha256(short));
    expect(stored?.equals(short)).toBe(true);
    expect(rangesOf(origin)).toEqual(['bytes=500000-', undefined]);
  });

  test('must stand where its writer stands', async () => {
    const { error } = await download(
      serving((request, response) => answerFile(request, response, data, { etag })),
      { from: { bytes: 5, version: etag, hash: createHash('sha256') } },
    );
    expect(String(error)).toContain('does not stand where');
  });
});

describe('a server that does not do what it was asked', () => {
  const afterCut = (answer: Handler, cutAfter = 400_000) =>
    download(
      serving((request, response, index) => {
        if (index === 0) answerFile(request, response, data, { etag, cutAfter });
        else answer(request, response, index);
      }),
    );

  test('and sends all with 200 instead of the rest is taken from the beginning', async () => {
    const { result, stored, progress, versions } = await afterCut((request, response) =>
      answerFile(request, response, data, { etag, ignoreRange: true }),
    );
    expect(result).toEqual({ bytes: SIZE, sha256: sha256(data), version: etag });
    expect(stored?.equals(data)).toBe(true);
    expect(progress.some((bytes, index) => index > 0 && bytes < (progress[index - 1] ?? 0))).toBe(true);
    expect(versions).toEqual([etag, etag]);
  });

  test('and sends all with 200 and a Content-Range is not believed either', async () => {
    const { result, stored } = await afterCut((_request, response) => {
      response.writeHead(200, {
        etag,
        'content-range': `bytes 400000-${SIZE - 1}/${SIZE}`,
        'content-length': SIZE,
      });
      response.end(data);
    });
    expect(result?.sha256).toBe(sha256(data));
    expect(stored?.equals(data)).toBe(true);
  });

  test.each([
    ['an earlier part', `bytes 0-${SIZE - 1}/${SIZE}`],
    ['no range', undefined],
    ['nonsense', 'bytes 400000-/1000003'],
  ])('and sends %s with 206 is asked for the whole', async (_name, range) => {
    const { origin, result, stored } = await afterCut((request, response, index) => {
      if (index > 1) return answerFile(request, response, data, { etag });
      response.writeHead(206, { etag, ...(range === undefined ? {} : { 'content-range': range }) }).end(data);
    });
    expect(result?.sha256).toBe(sha256(data));
    expect(stored?.equals(data)).toBe(true);
    expect(rangesOf(origin)).toEqual([undefined, 'bytes=400000-', undefined]);
  });

  test('and always cuts without ranges ends without a loop', async () => {
    const { origin, error } = await download(
      serving((request, response) =>
        answerFile(request, response, data, { etag, ignoreRange: true, cutAfter: 300_000 }),
      ),
    );
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true });
    expect(origin.requests).toHaveLength(2);
  });

  test('and answers a plain request with a part ends without a loop', async () => {
    const { error } = await download(
      serving((_request, response) =>
        response.writeHead(206, { 'content-range': 'bytes 0-9/100' }).end('0123456789'),
      ),
    );
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: false });
  });
});

describe('a file that is replaced meanwhile', () => {
  /** Each request sees the next version, and each but the last is cut. */
  const replaced = (versions: number, ignoresIfRange: boolean) =>
    download(
      serving((request, response, index) => {
        if (ignoresIfRange) delete request.headers['if-range'];
        const current = Math.min(ignoresIfRange ? Math.floor((index + 1) / 2) : index, versions - 1);
        const isLast = current === versions - 1 && index > 0;
        const answer = { etag: `"v${current}"`, ...(isLast ? {} : { cutAfter: 300_000 }) };
        answerFile(request, response, current === 0 ? data : other, answer);
      }),
    );

  test.each([false, true])('once is begun anew (If-Range ignored: %s)', async (ignoresIfRange) => {
    const { result, stored, versions } = await replaced(2, ignoresIfRange);
    expect(result).toEqual({ bytes: SIZE, sha256: sha256(other), version: '"v1"' });
    expect(stored?.equals(other)).toBe(true);
    expect(versions).toEqual(['"v0"', '"v1"']);
  });

  test.each([false, true])('twice is SOURCE_CHANGED (If-Range ignored: %s)', async (ignoresIfRange) => {
    const { error } = await replaced(4, ignoresIfRange);
    expect(error).toMatchObject({ code: 'SOURCE_CHANGED', retryable: false });
  });

  test('by one of another size, without an ETag', async () => {
    const longer = Buffer.concat([data, other]);
    const lastModified = ['Thu, 01 Jan 2026 00:00:00 GMT', 'Fri, 02 Jan 2026 00:00:00 GMT'] as const;
    const { result } = await download(
      serving((request, response, index) => {
        if (index === 0)
          answerFile(request, response, data, { lastModified: lastModified[0], cutAfter: 300_000 });
        else answerFile(request, response, longer, { lastModified: lastModified[1] });
      }),
    );
    expect(result).toEqual({
      bytes: 2 * SIZE,
      sha256: sha256(longer),
      version: `${lastModified[1]};${2 * SIZE}`,
    });
  });
});

describe('a version that was seen before', () => {
  /** A source that gives a version only when that is asked for, as object stores do; it is replaced at these requests. */
  async function fromStore(versions: readonly string[], options: Partial<DownloadOptions> = {}) {
    const known: unknown[] = [];
    const file: SourceFile = {
      origin: 'store:test',
      open: () => Promise.reject(new Error('not opened here')),
      async request({ bytes, version }) {
        const now = versions[Math.min(known.push({ bytes, version }), versions.length) - 1] ?? '';
        const answer: Answer =
          version === null || version === now
            ? { kind: bytes > 0 ? 'APPEND' : 'WHOLE', version: now, total: SIZE, isOther: false }
            : { kind: 'CHANGED' };
        const next = versions[known.length];
        const rest = data.subarray(bytes);
        return {
          answer,
          host: 'store',
          body: next === undefined ? Readable.from([rest]) : cutAfter(rest.subarray(0, 1000)),
          discard: () => {},
        };
      },
    };
    const writer = await storage.create(`tasks/${++count}/original`);
    try {
      const seen: (string | null)[] = [];
      const onVersion = (version: string | null) => seen.push(version);
      const result = await downloadFile(file, { writer, maxBytes: SIZE, signal, onVersion, ...options });
      return { result, known, seen };
    } catch (error) {
      return { error, known };
    } finally {
      await writer.discard();
    }
  }
  async function* cutAfter(part: Uint8Array) {
    yield part;
    throw new SourceError('SOURCE_UNAVAILABLE', 'The connection was cut.', { retryable: true });
  }

  test('is asked for', async () => {
    const { result, known } = await fromStore(['v1'], { expectedVersion: 'v1' });
    expect(result).toEqual({ bytes: SIZE, sha256: sha256(data), version: 'v1' });
    expect(known).toEqual([{ bytes: 0, version: 'v1' }]);
  });

  test('and is gone is followed by whatever there is', async () => {
    const { result, known, seen } = await fromStore(['v2', 'v3'], { expectedVersion: 'v1' });
    expect(result).toEqual({ bytes: SIZE, sha256: sha256(data), version: 'v3' });
    expect(known).toEqual([
      { bytes: 0, version: 'v1' },
      { bytes: 0, version: null },
    ]);
    expect(seen).toEqual(['v3']);
  });

  test('counts as the one replacement that is borne', async () => {
    const { error, known } = await fromStore(['v2', 'v2', 'v3'], { expectedVersion: 'v1' });
    expect(error).toMatchObject({ code: 'SOURCE_CHANGED', retryable: false });
    expect(known).toHaveLength(3);
    const { result } = await fromStore(['v2', 'v2', 'v2', 'v2'], { expectedVersion: 'v1' });
    expect(result?.version).toBe('v2');
  });

  test('is nothing to a download that goes on', async () => {
    const writer = await storage.create(`tasks/${++count}/original`);
    await writer.write(data.subarray(0, 7));
    const hash = createHash('sha256').update(data.subarray(0, 7));
    const from = { bytes: 7, version: 'v1', hash };
    const { result, known } = await fromStore(['v1'], { writer, from, expectedVersion: 'v0' });
    expect(result?.sha256).toBe(sha256(data));
    expect(known).toEqual([{ bytes: 7, version: 'v1' }]);
    await writer.discard();
  });

  test('is not asked for at a URL, which gives what it has', async () => {
    const { result, origin } = await download(
      serving((request, response) => answerFile(request, response, data, { etag: '"v2"' })),
      { expectedVersion: etag },
    );
    expect(result?.version).toBe('"v2"');
    expect(rangesOf(origin)).toEqual([undefined]);
  });
});

describe('lengths', () => {
  test('a body shorter than it was announced is never accepted', async () => {
    const { error } = await download(
      startRawOrigin((socket) =>
        socket.end(`HTTP/1.1 200 OK\r\nETag: "v1"\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(900)}`),
      ),
    );
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true });
  });

  test('a part shorter than the rest, cleanly ended, is never accepted', async () => {
    const { error } = await download(
      serving((request, response, index) => {
        if (index === 0) return answerFile(request, response, data, { etag, cutAfter: 400_000 });
        const range = `bytes ${/\d+/.exec(request.headers.range ?? '')?.[0]}-${SIZE - 1}/${SIZE}`;
        response.writeHead(206, { etag, 'content-range': range, 'transfer-encoding': 'chunked' }).end();
      }),
    );
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true });
  });

  test('without a length a file is taken as it comes', async () => {
    const { result, stored, versions } = await download(
      serving((_request, response) => {
        response.write(data.subarray(0, 1000));
        response.end(data.subarray(1000));
      }),
    );
    expect(result).toEqual({ bytes: SIZE, sha256: sha256(data), version: null });
    expect(stored?.equals(data)).toBe(true);
    expect(versions).toEqual([null]);
  });

  test('a chunked body without its end is never accepted', async () => {
    const { error } = await download(
      startRawOrigin((socket) =>
        socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'),
      ),
    );
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true });
  });

  test('of nothing at all, announced or not, are a broken file', async () => {
    const empty = { code: 'VIDEO_FILE_BROKEN', retryable: false };
    const { error } = await download(
      serving((_request, response) => response.writeHead(200, { 'content-length': 0 }).end()),
    );
    expect(error).toMatchObject(empty);
    const chunked = await download(
      serving((_request, response) => response.writeHead(200, { 'transfer-encoding': 'chunked' }).end()),
    );
    expect(chunked.error).toMatchObject(empty);
  });

  test('beyond the most that is accepted are refused before the body, and nothing is left', async () => {
    const { error, progress, key } = await download(
      serving((request, response) => answerFile(request, response, data, { etag })),
      { maxBytes: SIZE - 1 },
    );
    expect(error).toMatchObject({
      code: 'VIDEO_FILESIZE_TOO_LARGE',
      retryable: false,
      measured: `${SIZE} bytes`,
      required: `${SIZE - 1} bytes`,
    });
    expect(progress).toEqual([]);
    expect(await storage.statPartial(key)).toBeNull();
  });

  test('up to the most that is accepted are in', async () => {
    const { result } = await download(
      serving((request, response) => answerFile(request, response, data, { etag })),
      { maxBytes: SIZE },
    );
    expect(result?.bytes).toBe(SIZE);
  });

  test('without end stop at the most that is accepted, and nothing is left', async () => {
    let written = 0;
    const { error, key } = await download(
      serving((_request, response) => {
        const more = () => {
          while (!response.destroyed && response.write(Buffer.alloc(65_536))) written += 65_536;
        };
        response.on('drain', more);
        more();
      }),
      { maxBytes: 3_000_000 },
    );
    expect(error).toMatchObject({ code: 'VIDEO_FILESIZE_TOO_LARGE', required: '3000000 bytes' });
    expect(written).toBeLessThan(50_000_000);
    expect(await storage.statPartial(key)).toBeNull();
    expect(await readdir(join(root, 'tasks'))).not.toContain(key.split('/')[1]);
  });
});

test.each([
  [404, 'SOURCE_NOT_FOUND', false],
  [403, 'SOURCE_NOT_AUTHORIZED', false],
  [503, 'SOURCE_UNAVAILABLE', true],
])('HTTP %d is %s, after one request', async (status, code, retryable) => {
  const { origin, error } = await download(
    serving((_request, response) => response.writeHead(status).end('no')),
  );
  expect(error).toMatchObject({ code, retryable });
  expect(origin.requests).toHaveLength(1);
});

test('a login page is no video', async () => {
  const { error } = await download(
    serving((_request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>')),
  );
  expect(error).toMatchObject({ code: 'UNSUPPORTED_MEDIA_TYPE', retryable: false });
});

test('a byte now and then is given up, and not taken up again at once', async () => {
  const { origin, error } = await download(
    serving((_request, response) => {
      response.writeHead(200, { etag, 'content-length': SIZE });
      const timer = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(timer));
    }),
    { http: { stallTimeoutMs: 300 } },
  );
  expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true });
  expect(origin.requests).toHaveLength(1);
});

test('an abort ends the download with its reason, and keeps what came', async () => {
  const controller = new AbortController();
  const { error, key } = await download(
    serving((request, response) => {
      answerFile(request, response, data, { etag, cutAfter: 500_000 });
      request.socket.once('close', () => {});
    }),
    {
      signal: controller.signal,
      onProgress: (bytes) => bytes >= 200_000 && controller.abort(new Error('lease lost')),
    },
  );
  expect(String(error)).toContain('lease lost');
  expect((await storage.statPartial(key))?.size).toBeGreaterThanOrEqual(200_000);
});

test('memory does not grow with the file', async () => {
  const chunk = randomBytes(1024 * 1024);
  const total = 300;
  const before = process.memoryUsage().rss;
  let most = before;
  const { result, error } = await download(
    serving((_request, response) => {
      response.writeHead(200, { 'content-length': total * chunk.length });
      let left = total;
      const more = () => {
        while (left > 0) {
          left -= 1;
          if (!response.write(chunk)) return;
        }
        response.end();
      };
      response.on('drain', more);
      more();
    }),
    { maxBytes: 1024 ** 3, onProgress: () => (most = Math.max(most, process.memoryUsage.rss())) },
  );
  expect(error).toBeUndefined();
  expect(result?.bytes).toBe(total * chunk.length);
  expect(most - before).toBeLessThan(150 * 1024 * 1024);
});
