import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

/** What a media URL gives access to: the bytes of one video of one team, until it expires. */
export interface MediaGrant {
  readonly teamId: string;
  readonly videoId: string;
  readonly expiresAt: Date;
}

interface MediaUrlTarget {
  readonly teamId: string;
  readonly videoId: string;
  readonly fileName: string;
  readonly kind: 'original';
}

/** Makes signed URLs to media, and reads them again: whoever has one needs no key. */
export interface MediaUrls {
  /** The URL to a video's original file. Within ten minutes the same video gets the same one, so that caches work. */
  urlFor(video: MediaUrlTarget, now?: Date): { readonly url: string; readonly expiresAt: Date };
  /** What the token of a URL stands for; null when it was not made by this server's secret, was changed, or has expired. */
  verify(token: string, now?: Date): MediaGrant | null;
}

const EXPIRY_STEP_SECONDS = 600;
const ID_BYTES = 16;
const EXPIRY_BYTES = 6;
const MAC_BYTES = 32;
const BODY_BYTES = 2 * ID_BYTES + EXPIRY_BYTES;
const TOKEN = /^[A-Za-z0-9_-]{94}$/;
const MAX_NAME_CHARACTERS = 100;

/**
 * Signs media URLs. A token holds team, video and expiry, and an HMAC-SHA256 over them. It stands in the path, so that it also
 * covers what a playlist names by relative URLs.
 * @param options.secret the server's secret; the key is derived from it (HKDF, RFC 5869), so that another use of the secret tells
 * nothing about it
 * @param options.publicUrl the base of the URLs; read at each call, because the port may be known only once the server listens
 * @param options.seconds for how long a URL holds at least; its expiry is rounded up to ten minutes
 */
export function createMediaUrls(options: {
  readonly secret: Buffer;
  readonly publicUrl: () => string;
  readonly seconds: number;
}): MediaUrls {
  const key = Buffer.from(hkdfSync('sha256', options.secret, '', 'sluice media urls, version 1', 32));
  const sign = (body: Buffer) => createHmac('sha256', key).update(body).digest();
  return {
    urlFor({ teamId, videoId, fileName, kind }, now = new Date()) {
      const until = now.getTime() / 1000 + options.seconds;
      const expiry = Math.ceil(until / EXPIRY_STEP_SECONDS) * EXPIRY_STEP_SECONDS;
      const body = Buffer.concat([idToBytes(teamId), idToBytes(videoId), expiryToBytes(expiry)]);
      const token = Buffer.concat([body, sign(body)]).toString('base64url');
      const base = options.publicUrl().replace(/\/+$/, '');
      return {
        url: `${base}/media/${token}/${kind}/${toUrlName(fileName)}`,
        expiresAt: new Date(expiry * 1000),
      };
    },
    verify(token, now = new Date()) {
      const bytes = TOKEN.test(token) ? Buffer.from(token, 'base64url') : null;
      // The last character has bits that no byte holds: the same bytes must not have several tokens.
      if (bytes?.length !== BODY_BYTES + MAC_BYTES || bytes.toString('base64url') !== token) return null;
      const body = bytes.subarray(0, BODY_BYTES);
      if (!timingSafeEqual(bytes.subarray(BODY_BYTES), sign(body))) return null;
      const expiresAt = new Date(body.readUIntBE(2 * ID_BYTES, EXPIRY_BYTES) * 1000);
      if (now >= expiresAt) return null;
      return {
        teamId: bytesToId(body.subarray(0, ID_BYTES)),
        videoId: bytesToId(body.subarray(ID_BYTES, 2 * ID_BYTES)),
        expiresAt,
      };
    },
  };
}

function idToBytes(id: string): Buffer {
  const bytes = Buffer.from(id.replaceAll('-', ''), 'hex');
  if (bytes.length !== ID_BYTES) throw new TypeError(`"${id}" is not a UUID`);
  return bytes;
}

function bytesToId(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function expiryToBytes(seconds: number): Buffer {
  const bytes = Buffer.alloc(EXPIRY_BYTES);
  bytes.writeUIntBE(seconds, 0, EXPIRY_BYTES);
  return bytes;
}

/** The end of the URL is for people and for programs that go by the extension; the server does not read it. */
function toUrlName(fileName: string): string {
  const safe = fileName.replace(/[^A-Za-z0-9._-]+/g, '_').slice(-MAX_NAME_CHARACTERS);
  // A part that is all dots would be taken for a folder.
  return /^\.*$/.test(safe) ? 'video' : safe;
}
