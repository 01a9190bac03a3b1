import { beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { startS3rver } from '../support/s3rver.ts';
import { waitFor } from '../support/wait.ts';
import { type MediaServers, startMediaServers, urlsAt } from './media-server.ts';

beforeAll(() => () => void vi.unstubAllEnvs());

async function startWith(delivery: string): Promise<MediaServers & { readonly endpoint: string }> {
  const s3 = await startS3rver({ bucket: 'media' });
  onTestFinished(() => s3.stop());
  vi.stubEnv('AWS_ACCESS_KEY_ID', s3.accessKeyId);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', s3.secretAccessKey);
  const servers = await startMediaServers(1, {
    SLUICE_STORAGE_URL: `s3://media/kept?endpoint=${encodeURIComponent(s3.endpoint)}`,
    SLUICE_MEDIA_DELIVERY: delivery,
  });
  return { ...servers, endpoint: s3.endpoint };
}

const ask = (url: string, init: RequestInit = {}) => fetch(url, { redirect: 'manual', ...init });

test('large files come from the bucket itself where that is wished, and what names them does not', async () => {
  const { bases, endpoint, put, store, storage } = await startWith('redirect');
  const urls = urlsAt(bases[0] ?? '');
  const video = await store({ bytes: 300_000 });
  const urlOf = (path: string) => urls.urlForProduct({ ...video, path });
  const { url: original, expiresAt } = urls.urlFor({ ...video, fileName: 'clip.mp4', kind: 'original' });
  for (const path of [
    'stream/main.m3u8',
    'stream/main.mp4',
    'pictures/storyboard.vtt',
    'pictures/poster.jpg',
  ])
    await put(`${video.prefix}/${path}`, path);

  const asked = Date.now();
  const sent = await ask(original);
  const location = new URL(sent.headers.get('location') ?? '');
  expect([sent.status, sent.headers.get('access-control-allow-origin'), location.origin]).toEqual([
    302,
    '*',
    endpoint,
  ]);
  expect(sent.headers.get('cache-control')).toMatch(/^private, max-age=\d+$/);
  const seconds = Number(location.searchParams.get('X-Amz-Expires'));
  expect(seconds).toBeGreaterThan(3500);
  expect(asked + seconds * 1000).toBeLessThanOrEqual(expiresAt.getTime() + 1000);

  const whole = await fetch(original);
  expect(Buffer.from(await whole.arrayBuffer()).equals(video.original)).toBe(true);
  expect([whole.headers.get('content-type'), whole.headers.get('content-disposition')]).toEqual([
    'video/mp4',
    `inline; filename="clip.mp4"; filename*=UTF-8''clip.mp4`,
  ]);
  const part = await fetch(original, { headers: { range: 'bytes=5-9' } });
  expect([part.status, await part.text()]).toEqual([206, video.original.subarray(5, 10).toString()]);

  const head = await ask(original, { method: 'HEAD' });
  const etag = head.headers.get('etag') ?? '';
  expect([head.status, head.headers.get('content-length')]).toEqual([200, '300000']);
  expect((await ask(original, { headers: { 'if-none-match': etag } })).status).toBe(304);
  // The store has a tag of its own for it.
  expect((await ask(original, { headers: { 'if-match': '"another"' } })).status).toBe(302);

  expect((await ask(urlOf('stream/main.mp4'))).status).toBe(302);
  expect(await (await fetch(urlOf('stream/main.mp4'))).text()).toBe('stream/main.mp4');
  for (const path of ['stream/main.m3u8', 'pictures/storyboard.vtt', 'pictures/poster.jpg']) {
    const response = await ask(urlOf(path));
    expect([response.status, await response.text()]).toEqual([200, path]);
  }
  expect((await ask(urlOf('stream/none.mp4'))).status).toBe(404);

  const short = await storage.presign(`${video.prefix}/stream/main.mp4`, {
    until: new Date(Date.now() + 1500),
    mimeType: 'video/mp4',
    disposition: 'inline',
  });
  await waitFor(async () => (await ask(short ?? '')).status === 403, { what: 'the signature to run out' });
});

test('a bucket is read through the server unless that is said', async () => {
  const { bases, put, store, storage } = await startWith('proxy');
  const urls = urlsAt(bases[0] ?? '');
  const video = await store({ bytes: 300_000 });
  await put(`${video.prefix}/stream/main.mp4`, 'stream');
  const { url } = urls.urlFor({ ...video, fileName: 'clip.mp4', kind: 'original' });
  const whole = await ask(url);
  expect(whole.status).toBe(200);
  expect(Buffer.from(await whole.arrayBuffer()).equals(video.original)).toBe(true);
  const part = await ask(url, { headers: { range: 'bytes=-5' } });
  expect([part.status, await part.text()]).toEqual([206, video.original.subarray(-5).toString()]);
  const product = urls.urlForProduct({ ...video, path: 'stream/main.mp4' });
  expect(await (await ask(product, { headers: { range: 'bytes=1-2' } })).text()).toBe('tr');
  // Its size is known by now, and that it is gone is found out when it is read.
  await storage.delete(video.prefix);
  expect([(await ask(product)).status, (await ask(product, { method: 'HEAD' })).status]).toEqual([404, 404]);
});
