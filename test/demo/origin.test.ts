import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseRange } from '../../src/demo/byte-range.ts';
import type { Origin } from '../../src/demo/origin.ts';
import { startOrigin } from '../../src/demo/origin.ts';

const BYTES = Buffer.from(Array.from({ length: 10_000 }, (_, position) => position % 251));
let folder = '';
let origin: Origin;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-origin-'));
  await writeFile(join(folder, 'a clip.mp4'), BYTES);
  await writeFile(join(folder, 'empty.mp4'), '');
  await symlink('/etc', join(folder, 'outside'));
  origin = await startOrigin(folder);
});
afterAll(async () => {
  await origin.close();
  await rm(folder, { recursive: true, force: true });
});

const get = async (name: string, headers: Record<string, string> = {}) => {
  const response = await fetch(origin.url(name), { headers });
  return { response, body: Buffer.from(await response.arrayBuffer()) };
};

test('a file is served whole, with its length, type and a strong ETag', async () => {
  const { response, body } = await get('a clip.mp4');
  expect(response.status).toBe(200);
  expect(body.equals(BYTES)).toBe(true);
  expect(response.headers.get('content-type')).toBe('video/mp4');
  expect(response.headers.get('content-length')).toBe('10000');
  expect(response.headers.get('etag')).toMatch(/^"[^"]+"$/);
});

test.each([
  ['bytes=0-99', 0, 99],
  ['bytes=9900-', 9900, 9999],
  ['bytes=-10', 9990, 9999],
  ['bytes=5000-99999', 5000, 9999],
])('%s is answered with that part', async (range, start, end) => {
  const { response, body } = await get('a clip.mp4', { range });
  expect(response.status).toBe(206);
  expect(response.headers.get('content-range')).toBe(`bytes ${start}-${end}/10000`);
  expect(body.equals(BYTES.subarray(start, end + 1))).toBe(true);
});

test('a range beyond the end is refused with the size', async () => {
  const { response } = await get('a clip.mp4', { range: 'bytes=10000-' });
  expect(response.status).toBe(416);
  expect(response.headers.get('content-range')).toBe('bytes */10000');
});

test('If-Range with another version gives the whole file, with the same version the part', async () => {
  const { response } = await get('a clip.mp4');
  const etag = response.headers.get('etag') ?? '';
  expect((await get('a clip.mp4', { range: 'bytes=0-9', 'if-range': '"other"' })).response.status).toBe(200);
  expect((await get('a clip.mp4', { range: 'bytes=0-9', 'if-range': etag })).response.status).toBe(206);
});

test('an empty file is served as one', async () => {
  const { response, body } = await get('empty.mp4');
  expect([response.status, body.length]).toEqual([200, 0]);
});

test.each([
  '/nothing.mp4',
  '/',
  '/outside',
  '/outside/passwd',
  '/..%2f..%2fetc%2fpasswd',
  '/%',
  '/%00',
  '/.',
])('%s is a 404', async (path) => {
  const { port } = new URL(origin.url(''));
  const status = await new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asked.on('error', reject).end();
  });
  expect(status).toBe(404);
});

test('HEAD has the headers alone, and other methods are refused', async () => {
  const head = await fetch(origin.url('a clip.mp4'), { method: 'HEAD' });
  expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '10000', '']);
  expect((await fetch(origin.url('a clip.mp4'), { method: 'DELETE' })).status).toBe(405);
});

test('a limited rate holds, for each answer on its own', async () => {
  const slow = await startOrigin(folder, { bytesPerSecond: 20_000 });
  try {
    const begun = performance.now();
    const asked = Array.from({ length: 40 }, async () => (await fetch(slow.url('a clip.mp4'))).arrayBuffer());
    const bodies = await Promise.all(asked);
    const seconds = (performance.now() - begun) / 1000;
    expect(bodies.map((body) => body.byteLength)).toEqual(asked.map(() => 10_000));
    expect(seconds).toBeGreaterThan(0.4);
    // One after the other they would take forty times 0.5 s.
    expect(seconds).toBeLessThan(15);
  } finally {
    await slow.close();
  }
});

test('a client that reads only the beginning leaves the server serving', async () => {
  const response = await fetch(origin.url('a clip.mp4'));
  await response.body?.cancel();
  expect((await get('a clip.mp4')).response.status).toBe(200);
});

test('the address is the one that the server listens on', async () => {
  const { port } = new URL(origin.url('a clip.mp4'));
  expect(origin.allowAddress).toBe(`127.0.0.1/32:${port}`);
});

test('a range never names a byte that is not there', () => {
  const header = fc.oneof(
    fc.string(),
    fc.tuple(fc.option(fc.nat()), fc.option(fc.nat())).map(([a, b]) => `bytes=${a ?? ''}-${b ?? ''}`),
  );
  fc.assert(
    fc.property(header, fc.nat(1_000_000), (text, size) => {
      const range = parseRange(text, size);
      if (typeof range === 'string') return true;
      return range.start >= 0 && range.start <= range.end && range.end < size;
    }),
  );
});
