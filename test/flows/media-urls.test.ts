import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readlink } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { expect, test } from 'vitest';
import { createTestClient } from '../support/client.ts';
import { graphql } from '../support/graphql.ts';
import { runSluice } from '../support/process.ts';
import { waitFor } from '../support/wait.ts';
import { SECRET, type StoredVideo, startMediaServers, urlsAt } from './media-server.ts';

const TYPES = {
  'stream/main.m3u8': 'application/vnd.apple.mpegurl',
  'stream/video_720.mp4': 'video/mp4',
  'stream/audio.mp4': 'audio/mp4',
  'stream/audio-2.mp4': 'audio/mp4',
  'pictures/storyboard.vtt': 'text/vtt; charset=utf-8',
  'pictures/poster.jpg': 'image/jpeg',
  'scenes/0001.webp': 'image/webp',
};

const statusOf = async (url: string): Promise<number> => {
  const response = await fetch(url);
  await response.body?.cancel();
  return response.status;
};

/** Asks for a path exactly as it is: fetch would tidy it up. */
async function rawStatus(base: string, path: string): Promise<number | undefined> {
  const { hostname, port } = new URL(base);
  const sent = httpRequest({ hostname, port, path }).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}

test('a URL leads to the files of one run of work, each as what it is, and to nothing else', async () => {
  const { bases, put, store, storage, rows } = await startMediaServers(1);
  const [base = ''] = bases;
  const urls = urlsAt(base);
  const [video, other] = [await store(), await store()];
  for (const path of Object.keys(TYPES)) {
    for (const { prefix } of [video, other]) await put(`${prefix}/${path}`, `${prefix} ${path}`);
  }
  const tags = new Set<string | null>();
  for (const [path, type] of Object.entries(TYPES)) {
    const response = await fetch(urls.urlForProduct({ ...video, path }));
    expect([path, response.status, response.headers.get('content-type')]).toEqual([path, 200, type]);
    expect(response.headers.get('content-security-policy')).toMatch(/^sandbox/);
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(await response.text()).toBe(`${video.prefix} ${path}`);
    tags.add(response.headers.get('etag'));
  }
  expect(tags.size).toBe(Object.keys(TYPES).length);

  // What a playlist names beside itself.
  const playlist = urls.urlForProduct({ ...video, path: 'stream/main.m3u8' });
  expect(await statusOf(new URL('video_720.mp4', playlist).href)).toBe(200);
  expect(await statusOf(new URL('../pictures/poster.jpg', playlist).href)).toBe(200);

  await put(`${video.prefix}/stream/page.html`, '<script>');
  await put(`${video.prefix}/stream/deep/file.mp4`, 'x');
  await put(`${video.prefix}/secret.mp4`, 'x');
  const token = new URL(playlist).pathname.split('/')[2];
  for (const path of [
    '',
    '/',
    '/stream',
    '/stream/',
    '/stream/page.html',
    '/stream/deep/file.mp4',
    '/stream/deep%2ffile.mp4',
    '/secret.mp4',
    '/stream/none.mp4',
    '/stream/..%2fsecret.mp4',
    '/stream/../secret.mp4',
    '/stream/..',
    '/stream/%2e%2e%2f%2e%2e%2f1%2foriginal',
    '/stream/..%5c..%5c1%5coriginal',
    '/stream/main.m3u8%00.mp4',
    '/stream/main.m3u8.mp4',
    '/stream/.mp4',
    '/stream/constructor.toString',
    `/stream/${'a'.repeat(300)}.mp4`,
  ])
    expect([path, await rawStatus(base, `/media/${token}${path}`)]).toEqual([path, 404]);
  expect(await rawStatus(base, `/media/${token}/original/clip.mp4`)).toBe(403);
  expect(await rawStatus(base, `/media/${token}/original/..%2f..%2fstream%2fmain.m3u8`)).toBe(403);

  // Rightly signed, and yet of another one's files: the signature is for those of its own.
  const path = 'stream/main.m3u8';
  expect(await statusOf(urls.urlForProduct({ ...video, videoId: other.videoId, path }))).toBe(404);
  expect(() => urls.urlForProduct({ ...video, prefix: other.prefix, path })).toThrow(TypeError);
  const elsewhere = [`${video.prefix}0`, video.prefix.replace(/tasks\/.{36}/, `tasks/${randomUUID()}`)];
  for (const prefix of elsewhere)
    expect(await statusOf(urls.urlForProduct({ ...video, prefix, path }))).toBe(404);

  await storage.delete(video.prefix);
  const gone = await fetch(urls.urlForProduct({ ...video, path: 'stream/video_720.mp4' }));
  expect([gone.status, gone.headers.get('etag')]).toEqual([404, null]);
  expect(await gone.text()).not.toContain(video.prefix);
  await rows.all('delete from videos where id = $1', [other.videoId]);
  expect(await statusOf(urls.urlForProduct({ ...other, path }))).toBe(404);
});

test('no part of a token can be changed, and none holds longer than it says', async () => {
  const { bases, put, store } = await startMediaServers(1);
  const [base = ''] = bases;
  const urls = urlsAt(base);
  const [video, other] = [await store(), await store()];
  const path = 'stream/main.m3u8';
  for (const { prefix } of [video, other]) await put(`${prefix}/${path}`, '#EXTM3U');
  // Of one moment: a little later may be in the next ten minutes.
  const now = new Date();
  const url = urls.urlForProduct({ ...video, path }, now);
  const { expiresAt } = urls.urlFor({ ...video, fileName: 'clip.mp4', kind: 'original' }, now);
  const tokenOf = (of: string) => new URL(of).pathname.split('/')[2] ?? '';
  const bytesOf = (of: string) => Buffer.from(tokenOf(of), 'base64url');
  const [own, others] = [bytesOf(url), bytesOf(urls.urlForProduct({ ...other, path }))];
  const later = bytesOf(urls.urlForProduct({ ...video, path }, new Date(Date.now() + 86_400_000)));
  const nextClaim = bytesOf(urls.urlForProduct({ ...video, prefix: video.prefix.replace(/2$/, '3'), path }));
  const components = {
    team: [0, 16],
    video: [16, 32],
    task: [32, 48],
    expiry: [50, 54],
    claim: [54, 62],
    mac: [62, 94],
  };
  const statusWith = (bytes: Buffer) => statusOf(url.replace(tokenOf(url), bytes.toString('base64url')));
  expect(own).toHaveLength(94);
  expect(await statusWith(own)).toBe(200);
  for (const [name, [from, to]] of Object.entries(components)) {
    const source = name === 'expiry' ? later : name === 'claim' ? nextClaim : others;
    const changed = Buffer.from(own);
    source.copy(changed, from, from, to);
    expect(changed.equals(own), name).toBe(false);
    expect([name, await statusWith(changed)]).toEqual([name, 403]);
  }
  const epoch = Buffer.from(own);
  epoch.writeUInt16BE(1, 48);
  expect(await statusWith(epoch)).toBe(403);

  const hour = 3_600_000;
  const expiry = new Date(Math.floor(Date.now() / 600_000) * 600_000);
  // Rounded up to ten minutes, this one expired at the last full ten.
  const expired = new Date(expiry.getTime() - hour);
  expect(await statusOf(urls.urlForProduct({ ...video, path }, expired))).toBe(403);
  expect(urls.verifyProduct(tokenOf(url), new Date(expiresAt.getTime() - 1))).not.toBeNull();
  expect(urls.verifyProduct(tokenOf(url), new Date(expiresAt.getTime() + 1000))).toBeNull();
  expect(urls.verifyProduct(tokenOf(url), expiresAt)).toBeNull();
});

const ORIGINALS = graphql(`
  query Originals {
    videos(first: 1) { nodes { originalUrl } }
  }
`);

test('an operator calls back all URLs of a team, at every server; later ones hold', {
  timeout: 120_000,
}, async () => {
  const { bases, put, store, databaseUrl } = await startMediaServers(2);
  const [video, other] = [await store(), await store()];
  const path = 'pictures/poster.jpg';
  for (const { prefix } of [video, other]) await put(`${prefix}/${path}`, 'jpeg');
  const urlsOf = (of: StoredVideo) =>
    bases.flatMap((base) => {
      const urls = urlsAt(base);
      return [
        urls.urlFor({ ...of, fileName: 'clip.mp4', kind: 'original' }).url,
        urls.urlForProduct({ ...of, path }),
      ];
    });
  const statuses = (of: StoredVideo) => Promise.all(urlsOf(of).map(statusOf));
  expect(await statuses(video)).toEqual([200, 200, 200, 200]);

  const revoke = (team: string) =>
    runSluice({ DATABASE_URL: databaseUrl, SLUICE_SECRET_KEY: SECRET.toString('base64') }, [
      'teams',
      'revoke-urls',
      team,
    ]).ended;
  const id = `team_${video.teamId}`;
  expect(await revoke(id)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(
      new RegExp(`^Team \\S+ \\(${id}\\): all media URLs handed out so far have ended\\n$`),
    ),
  });
  expect(await statuses(video)).toEqual([403, 403, 403, 403]);
  expect(await statuses(other)).toEqual([200, 200, 200, 200]);
  expect(await revoke('Nobody')).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining('no team'),
  });

  for (const base of bases) {
    const client = createTestClient({ url: base, key: video.key });
    await waitFor(
      async () => {
        const { videos } = await client.query(ORIGINALS);
        return (await statusOf(videos.nodes[0]?.originalUrl ?? '')) === 200;
      },
      { what: 'a URL that holds' },
    );
  }
});

/** How many files this process has open whose path has this text in it. */
async function openFiles(text: string): Promise<number> {
  const links = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
  return (await Promise.all(links)).filter((link) => link.includes(text)).length;
}

test.skipIf(process.platform !== 'linux')('viewers who read nothing and go leave no file open', async () => {
  const { bases, put, store } = await startMediaServers(1);
  const [base = ''] = bases;
  const video = await store();
  const path = 'stream/main.mp4';
  await put(`${video.prefix}/${path}`, randomBytes(16 * 1024 * 1024));
  const url = urlsAt(base).urlForProduct({ ...video, path });
  const viewers = Array.from({ length: 20 }, (_, at) => {
    const viewer = httpRequest(url, { agent: false, headers: at % 2 ? { range: 'bytes=5-' } : {} });
    viewer.on('error', () => {});
    return viewer.end();
  });
  await Promise.all(viewers.map((viewer) => once(viewer, 'response')));
  await waitFor(async () => (await openFiles(video.prefix)) === 20, { what: 'a file for each' });
  for (const viewer of viewers) viewer.destroy();
  await waitFor(async () => (await openFiles(video.prefix)) === 0, { what: 'the files to be closed' });
});
