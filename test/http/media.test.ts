import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import fastify, { type FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { registerHealth } from '../../src/http/health.ts';
import { registerMedia } from '../../src/http/media.ts';
import type { MediaFile } from '../../src/services/media-files.ts';
import { createMediaUrls } from '../../src/services/media-urls.ts';
import { StorageError } from '../../src/storage/adapter.ts';

const bytes = randomBytes(8 * 1024 * 1024);
const SIZE = bytes.length;
const sha256 = createHash('sha256').update(bytes).digest('hex');
const etag = `"${sha256}"`;
const file = { size: SIZE, mimeType: 'video/mp4', tag: sha256, locate: async () => null };
const [teamId, videoId] = [randomUUID(), randomUUID()];
const prefix = `teams/${teamId}/tasks/${randomUUID()}/1`;
const path = 'stream/main.mp4';

let folder: string;
let base: string;
let server: FastifyInstance;
let fileName = 'clip.mp4';
let gone = false;
let broken = false;
let health: Record<string, boolean> | Error = {};
const opened: Readable[] = [];
const urls = createMediaUrls({ secret: randomBytes(32), publicUrl: () => base, seconds: 3_600 });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-media-test-'));
  const stored = join(folder, 'original');
  await writeFile(stored, bytes);
  const open: MediaFile['open'] = async (range) => {
    if (gone) throw new StorageError('NOT_FOUND', 'deleted meanwhile');
    if (broken) throw new StorageError('UNAVAILABLE', 'secret');
    const stream = createReadStream(stored, range ? { start: range.start, end: range.end } : {});
    opened.push(stream);
    return stream;
  };
  server = fastify({ forceCloseConnections: true, routerOptions: { maxParamLength: 1_000 } });
  registerMedia(server, {
    urls,
    files: {
      original: async (grant) =>
        grant.teamId === teamId && grant.videoId === videoId ? { ...file, fileName, open } : 'GONE',
      product: async (grant, inFolder, name) =>
        grant.prefix === prefix && `${inFolder}/${name}` === path
          ? { ...file, fileName: null, open }
          : 'GONE',
    },
  });
  registerHealth(server, {
    health: async () => {
      if (health instanceof Error) throw health;
      return health;
    },
  });
  base = await server.listen({ host: '127.0.0.1', port: 0 });
});

afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

afterEach(() => {
  fileName = 'clip.mp4';
  gone = false;
  broken = false;
  opened.length = 0;
});

const mediaUrl = () => urls.urlFor({ teamId, videoId, fileName, kind: 'original' }).url;
const productUrl = () => urls.urlForProduct({ teamId, videoId, prefix, path });
const bodyOf = async (response: Response) => Buffer.from(await response.arrayBuffer());

describe.each([
  ['an original', mediaUrl],
  ['what media work left', productUrl],
])('%s', (_kind, urlOf) => {
  const get = (headers: Record<string, string> = {}, init: RequestInit = {}) =>
    fetch(urlOf(), { ...init, headers });

  test('comes whole, with all that a player and a cache want to know', async () => {
    const response = await get();
    expect(response.status).toBe(200);
    expect((await bodyOf(response)).equals(bytes)).toBe(true);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'accept-ranges': 'bytes',
      'access-control-allow-origin': '*',
      'content-length': String(SIZE),
      'content-type': 'video/mp4',
      'content-security-policy': expect.stringMatching(/^sandbox; default-src 'none';/),
      'cross-origin-resource-policy': 'cross-origin',
      etag,
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    });
    expect(response.headers.get('access-control-allow-credentials')).toBeNull();
    const maxAge = Number(
      /^private, max-age=(\d+), immutable$/.exec(response.headers.get('cache-control') ?? '')?.[1],
    );
    expect(maxAge).toBeGreaterThan(3_590);
    expect(maxAge).toBeLessThanOrEqual(4_200);
  });

  test.each([
    ['bytes=0-0', 0, 0],
    ['bytes=100-199', 100, 199],
    ['bytes=100-', 100, SIZE - 1],
    ['bytes=-5', SIZE - 5, SIZE - 1],
    [`bytes=-${SIZE + 1}`, 0, SIZE - 1],
    ['bytes=5-99999999999999999999', 5, SIZE - 1],
    ['BYTES=1-2', 1, 2],
  ])('of it, %s comes alone', async (range, start, end) => {
    const response = await get({ range });
    expect(response.status).toBe(206);
    expect(response.headers.get('content-range')).toBe(`bytes ${start}-${end}/${SIZE}`);
    expect(response.headers.get('content-length')).toBe(String(end - start + 1));
    expect((await bodyOf(response)).equals(bytes.subarray(start, end + 1))).toBe(true);
  });

  test.each([`bytes=${SIZE}-`, 'bytes=-0', 'bytes=99999999999999999999-'])(
    'there is no %s of it',
    async (range) => {
      const response = await get({ range });
      expect(response.status).toBe(416);
      expect(response.headers.get('content-range')).toBe(`bytes */${SIZE}`);
      expect(opened).toHaveLength(0);
    },
  );

  test.each(['bytes=5-4', 'bytes=-', 'bytes=a-b', 'lines=1-2', 'bytes=0-1,4-5', 'bytes 0-1'])(
    'a range that is none, or several, is not looked at: %s',
    async (range) => {
      const response = await get({ range });
      expect([response.status, response.headers.get('content-length')]).toEqual([200, String(SIZE)]);
      await response.body?.cancel();
    },
  );

  test('a range with If-Range comes alone only of the very same file', async () => {
    const statusWith = async (ifRange: string) => {
      const response = await get({ range: 'bytes=0-9', 'if-range': ifRange });
      await response.body?.cancel();
      return response.status;
    };
    expect(await statusWith(etag)).toBe(206);
    expect(await statusWith(`W/${etag}`)).toBe(200);
    expect(await statusWith('"another"')).toBe(200);
    expect(await statusWith('Wed, 21 Oct 2026 07:28:00 GMT')).toBe(200);
  });

  test('what the client has already is not sent again', async () => {
    for (const have of [etag, `W/${etag}`, `"another", ${etag}`, '*']) {
      const response = await get({ 'if-none-match': have });
      expect([response.status, response.headers.get('etag'), (await bodyOf(response)).length]).toEqual([
        304,
        etag,
        0,
      ]);
    }
    expect(opened).toHaveLength(0);
    const response = await get({ 'if-none-match': '"another"', range: 'bytes=0-3' });
    expect([response.status, (await bodyOf(response)).length]).toEqual([206, 4]);
  });

  test('is sent only if it is what the client has', async () => {
    for (const [have, status] of [
      [etag, 206],
      ['*', 206],
      ['"another"', 412],
      [`W/${etag}`, 412],
    ] as const) {
      const response = await get({ 'if-match': have, range: 'bytes=0-3' });
      await response.body?.cancel();
      expect([have, response.status]).toEqual([have, status]);
    }
    const both = await get({ 'if-match': '"another"', 'if-none-match': etag });
    expect([both.status, both.headers.get('cache-control')]).toEqual([412, 'no-store']);
  });

  test('a page of any origin may ask for parts of it, and read what it is told', async () => {
    const asked = await get(
      { origin: 'https://player.example', 'access-control-request-headers': 'range' },
      { method: 'OPTIONS' },
    );
    expect([asked.status, Object.fromEntries(asked.headers)]).toMatchObject([
      204,
      {
        'access-control-allow-headers': expect.stringContaining('range'),
        'access-control-allow-methods': 'GET, HEAD',
        'access-control-allow-origin': '*',
        'access-control-max-age': '86400',
      },
    ]);
    const response = await get({ origin: 'https://player.example', range: 'bytes=0-3' });
    expect(response.headers.get('access-control-expose-headers')).toContain('content-range');
    for (const method of ['PUT', 'POST', 'DELETE']) expect((await get({}, { method })).status).toBe(404);
  });

  test('a store that fails is no file that a cache keeps', async () => {
    broken = true;
    for (const range of ['bytes=0-9', `bytes=0-${SIZE - 2}`]) {
      const response = await get({ range });
      expect([response.status, response.headers.get('cache-control'), response.headers.get('etag')]).toEqual([
        500,
        null,
        null,
      ]);
      expect(response.headers.get('content-range')).toBeNull();
    }
  });

  test('HEAD tells the same without opening the file, and knows no ranges', async () => {
    const response = await get({ range: 'bytes=0-9' }, { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-length')).toBe(String(SIZE));
    expect(response.headers.get('content-type')).toBe('video/mp4');
    expect(response.headers.get('etag')).toBe(etag);
    expect(opened).toHaveLength(0);
  });

  test('a client that goes away closes the file', async () => {
    const client = request(urlOf()).end();
    const [response] = await once(client, 'response');
    await once(response, 'data');
    response.pause();
    const [stream] = opened;
    expect(stream?.destroyed).toBe(false);
    client.on('error', () => {});
    client.destroy();
    await expect.poll(() => stream?.closed).toBe(true);
    expect(stream?.readableEnded).toBe(false);
  });
});

describe('media', () => {
  const get = (headers: Record<string, string> = {}, init: RequestInit = {}) =>
    fetch(mediaUrl(), { ...init, headers });

  test('the file name comes as it is, and cannot end the header', async () => {
    fileName = 'Ferien "2026"\r\nX-Evil: 1 映画 (1)\ud800.mp4';
    const response = await get({}, { method: 'HEAD' });
    expect(response.headers.get('x-evil')).toBeNull();
    expect(response.headers.get('content-disposition')).toBe(
      `inline; filename="Ferien _2026___X-Evil: 1 __ (1)_.mp4"; ` +
        `filename*=UTF-8''Ferien%20%222026%22%0D%0AX-Evil%3A%201%20%E6%98%A0%E7%94%BB%20%281%29%EF%BF%BD.mp4`,
    );
  });

  test('a token that was changed or has expired is refused, and one of a video that is gone finds nothing', async () => {
    const target = { teamId, videoId, fileName, kind: 'original' } as const;
    const changed = mediaUrl().replace(/\/media\/./, (start) =>
      start.endsWith('A') ? '/media/B' : '/media/A',
    );
    const expired = urls.urlFor(target, new Date(Date.now() - 5_000_000)).url;
    const unknown = urls.urlFor({ ...target, videoId: randomUUID() }).url;
    const otherTeam = urls.urlFor({ ...target, teamId: randomUUID() }).url;
    for (const [url, status] of [
      [changed, 403],
      [expired, 403],
      [unknown, 404],
      [otherTeam, 404],
      [productUrl().replace('/stream/', '/scenes/'), 404],
      [mediaUrl().replace(/original.*/, path), 403],
      [productUrl().replace(path, 'original/clip.mp4'), 403],
    ] as const) {
      const response = await fetch(url);
      expect([response.status, response.headers.get('cache-control')]).toEqual([status, 'no-store']);
      expect(await response.text()).not.toContain(teamId);
    }
    gone = true;
    const response = await get({ range: 'bytes=0-9' });
    expect([response.status, await response.json()]).toEqual([404, { message: expect.any(String) }]);
    expect(response.headers.get('content-disposition')).toBeNull();
  });

  test('there are no folders to look into', async () => {
    const token = mediaUrl().split('/')[4];
    for (const path of ['', '/', `/${token}`, `/${token}/original`, `/${token}/other/clip.mp4`]) {
      expect((await fetch(`${base}/media${path}`)).status).toBe(404);
    }
  });
});

describe('health', () => {
  test('the process is alive whatever becomes of its parts', async () => {
    health = { database: false };
    const response = await fetch(`${base}/health/live`);
    expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }]);
  });

  test.each([
    [{ database: true, notifications: true }, 200, { status: 'ok' }],
    [{ database: true, notifications: false }, 503, { status: 'failing', failing: ['notifications'] }],
    [new Error('no answer'), 503, { status: 'failing', failing: ['health'] }],
  ])('it is ready when all parts are: %j', async (parts, status, body) => {
    health = parts;
    const response = await fetch(`${base}/health/ready`);
    expect([response.status, await response.json()]).toEqual([status, body]);
    expect(response.headers.get('cache-control')).toBe('no-store');
  });
});
