import { randomBytes, randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createMediaUrls } from '../../src/services/media-urls.ts';

const secret = randomBytes(32);
const create = (options: { secret?: Buffer; publicUrl?: string; seconds?: number } = {}) =>
  createMediaUrls({
    secret: options.secret ?? secret,
    publicUrl: () => options.publicUrl ?? 'https://video.example',
    seconds: options.seconds ?? 3_600,
  });
const urls = create();
const video = () =>
  ({ teamId: randomUUID(), videoId: randomUUID(), fileName: 'clip.mp4', kind: 'original' }) as const;
const tokenOf = (url: string) => new URL(url).pathname.split('/')[2] ?? '';
const at = (time: string) => new Date(time);

describe('a media URL', () => {
  test('gives back the team and the video that it was made for, and its expiry', () => {
    const { teamId, videoId, ...rest } = video();
    const { url, expiresAt } = urls.urlFor({ teamId, videoId, ...rest });
    expect(urls.verify(tokenOf(url))).toEqual({ teamId, videoId, expiresAt, epoch: 0 });
  });

  test('is the same one for all of ten minutes, and then another', () => {
    const one = video();
    const urlAt = (time: string) => urls.urlFor(one, at(time)).url;
    expect(urlAt('2026-01-01T12:00:00.001Z')).toBe(urlAt('2026-01-01T12:10:00Z'));
    expect(urlAt('2026-01-01T12:10:00Z')).not.toBe(urlAt('2026-01-01T12:10:00.001Z'));
  });

  test('holds for the time asked for or up to ten minutes more, and not a moment longer', () => {
    const { url, expiresAt } = urls.urlFor(video(), at('2026-01-01T12:03:20Z'));
    expect(expiresAt).toEqual(at('2026-01-01T13:10:00Z'));
    expect(urls.verify(tokenOf(url), at('2026-01-01T13:09:59.999Z'))).not.toBeNull();
    expect(urls.verify(tokenOf(url), at('2026-01-01T13:10:00Z'))).toBeNull();
  });

  test('does not hold when any character of its token is another one', () => {
    const token = tokenOf(urls.urlFor(video()).url);
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const changed = [...token].flatMap((own, index) =>
      [...alphabet]
        .filter((other) => other !== own)
        .map((other) => token.slice(0, index) + other + token.slice(index + 1)),
    );
    expect(changed).toHaveLength(94 * 63);
    expect(changed.filter((other) => urls.verify(other) !== null)).toEqual([]);
  });

  test.each(['', 'x', 'A'.repeat(94), 'A'.repeat(10_000), '\u{1f3ac}'.repeat(47)])(
    'is not made up: %j',
    (token) => {
      expect(urls.verify(token)).toBeNull();
    },
  );

  test('does not hold with characters that a lenient decoder would skip', () => {
    const token = tokenOf(urls.urlFor(video()).url);
    for (const other of [`${token}=`, `${token}\n`, ` ${token}`, `${token}A`, token.slice(0, -1)]) {
      expect(urls.verify(other)).toBeNull();
    }
  });

  test('does not hold for a server with another secret', () => {
    const { url } = urls.urlFor(video());
    expect(create({ secret: randomBytes(32) }).verify(tokenOf(url))).toBeNull();
    expect(create({ secret: Buffer.from(secret) }).verify(tokenOf(url))).not.toBeNull();
  });

  test('stands on the public URL as it is when asked, whatever path that has', () => {
    let base = '';
    const late = createMediaUrls({ secret, publicUrl: () => base, seconds: 60 });
    base = 'https://example.com/sluice/';
    expect(late.urlFor(video()).url).toMatch(
      /^https:\/\/example\.com\/sluice\/media\/[\w-]{94}\/original\/clip\.mp4$/,
    );
  });

  test.each([
    ['holiday clip (1).mp4', 'holiday_clip_1_.mp4'],
    ['映画.mkv', '_.mkv'],
    ['../../etc/passwd', '.._.._etc_passwd'],
    ['..', 'video'],
    ['a\r\nSet-Cookie: b', 'a_Set-Cookie_b'],
    [`${'long'.repeat(60)}.mp4`, `${'long'.repeat(24)}.mp4`],
  ])('ends in a name that is safe in a path: %j', (fileName, name) => {
    const { url } = urls.urlFor({ ...video(), fileName });
    expect(url.slice(url.lastIndexOf('/') + 1)).toBe(name);
    expect(new URL(url).href).toBe(url);
  });

  test('is made for ids of videos only', () => {
    expect(() => urls.urlFor({ ...video(), videoId: 'vid_1' })).toThrow(TypeError);
  });
});
