import { createTokens, type TokenContent } from './media-tokens.ts';

/** What a media URL gives access to: the bytes of one video of one team, until it expires or is called back. */
export interface MediaGrant {
  readonly teamId: string;
  readonly videoId: string;
  readonly expiresAt: Date;
  /** Which epoch of its team it is of: those of earlier ones were called back. */
  readonly epoch: number;
}

/** What a URL to a product gives access to: all that one run of media work left of one version of a video. */
export interface ProductGrant extends MediaGrant {
  /** `teams/<team>/tasks/<task>/<claim>`, where its files are. */
  readonly prefix: string;
}

interface MediaUrlTarget {
  readonly teamId: string;
  readonly videoId: string;
  readonly fileName: string;
  readonly kind: 'original';
}

interface ProductUrlTarget {
  readonly teamId: string;
  readonly videoId: string;
  /** `teams/<team>/tasks/<task>/<claim>` */
  readonly prefix: string;
  /** Below the prefix, such as `stream/main.m3u8`. */
  readonly path: string;
}

/** Makes signed URLs to media, and reads them again: whoever has one needs no key. */
export interface MediaUrls {
  /** The URL to a video's original file. Within ten minutes the same video gets the same one, so that caches work. */
  urlFor(video: MediaUrlTarget, now?: Date): { readonly url: string; readonly expiresAt: Date };
  /**
   * The URL to a file that media work left. It expires when that of the original does. What the file names beside itself is
   * reached by the same token.
   * @throws {TypeError} for a prefix that is none of this team's
   */
  urlForProduct(product: ProductUrlTarget, now?: Date): string;
  /** What the token of an original's URL stands for; null when it was not made by this server's secret, was changed, or has expired. */
  verify(token: string, now?: Date): MediaGrant | null;
  /** As `verify`, for the token of a product's URL. */
  verifyProduct(token: string, now?: Date): ProductGrant | null;
}

const EXPIRY_STEP_SECONDS = 600;
const MAX_NAME_CHARACTERS = 100;
const PREFIX = /^teams\/([0-9a-f-]{36})\/tasks\/([0-9a-f-]{36})\/(\d{1,18})$/;

/**
 * Signs media URLs. A token holds team, video, expiry and epoch, that of a product also task and claim, and an HMAC-SHA256 over
 * them. It stands in the path, so that it also covers what a playlist names by relative URLs.
 * @param options.secret the server's secret
 * @param options.publicUrl the base of the URLs; read at each call, because the port may be known only once the server listens
 * @param options.seconds for how long a URL holds at least; its expiry is rounded up to ten minutes
 * @param options.epochOf the epoch that a team is in; 0 unless given
 */
export function createMediaUrls({
  secret,
  publicUrl,
  seconds,
  epochOf = () => 0,
}: {
  readonly secret: Buffer;
  readonly publicUrl: () => string;
  readonly seconds: number;
  readonly epochOf?: (teamId: string) => number;
}): MediaUrls {
  const originals = createTokens({
    secret,
    purpose: 'sluice media urls, version 1',
    ids: 2,
    hasNumber: false,
  });
  const products = createTokens({
    secret,
    purpose: 'sluice product urls, version 1',
    ids: 3,
    hasNumber: true,
  });
  const expiryAt = (now: Date) =>
    Math.ceil((now.getTime() / 1000 + seconds) / EXPIRY_STEP_SECONDS) * EXPIRY_STEP_SECONDS;
  const urlOf = (token: string, path: string) => `${publicUrl().replace(/\/+$/, '')}/media/${token}/${path}`;

  return {
    urlFor({ teamId, videoId, fileName, kind }, now = new Date()) {
      const expiry = expiryAt(now);
      const token = originals.write({
        ids: [teamId, videoId],
        number: null,
        epoch: epochOf(teamId),
        expiry,
      });
      return { url: urlOf(token, `${kind}/${toUrlName(fileName)}`), expiresAt: new Date(expiry * 1000) };
    },
    urlForProduct({ teamId, videoId, prefix, path }, now = new Date()) {
      const [, owner, taskId = '', claim = ''] = PREFIX.exec(prefix) ?? [];
      if (owner !== teamId) throw new TypeError('this is no prefix of the team');
      const token = products.write({
        ids: [teamId, videoId, taskId],
        number: BigInt(claim),
        epoch: epochOf(teamId),
        expiry: expiryAt(now),
      });
      return urlOf(token, path.split('/').map(encodeURIComponent).join('/'));
    },
    verify: (token, now = new Date()) => grantOf(originals.read(token), now),
    verifyProduct(token, now = new Date()) {
      const content = products.read(token);
      const grant = grantOf(content, now);
      if (content === null || grant === null) return null;
      return { ...grant, prefix: `teams/${grant.teamId}/tasks/${content.ids[2]}/${content.number}` };
    },
  };
}

function grantOf(content: TokenContent | null, now: Date): MediaGrant | null {
  if (content === null) return null;
  const [teamId = '', videoId = ''] = content.ids;
  const expiresAt = new Date(content.expiry * 1000);
  return now < expiresAt ? { teamId, videoId, expiresAt, epoch: content.epoch } : null;
}

/** The end of the URL is for people and for programs that go by the extension; the server does not read it. */
function toUrlName(fileName: string): string {
  const safe = fileName.replace(/[^A-Za-z0-9._-]+/g, '_').slice(-MAX_NAME_CHARACTERS);
  // A part that is all dots would be taken for a folder.
  return /^\.*$/.test(safe) ? 'video' : safe;
}
