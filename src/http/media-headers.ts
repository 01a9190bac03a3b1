import type { MediaFile } from '../services/media-files.ts';

/** What every answer about media says, also a refusal: the token decides who may have it, so a page of any origin that has one may play it. */
export const CROSS_ORIGIN: Readonly<Record<string, string>> = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'accept-ranges, content-length, content-range, etag',
  'cross-origin-resource-policy': 'cross-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/** What a browser is told that asks whether it may ask. */
export const PREFLIGHT: Readonly<Record<string, string>> = {
  ...CROSS_ORIGIN,
  'access-control-allow-headers': 'range, if-match, if-none-match, if-range',
  'access-control-allow-methods': 'GET, HEAD',
  'access-control-max-age': '86400',
};

/** What is said of a file, or of a part of it, and of nothing else. */
export const FILE_HEADERS = [
  'accept-ranges',
  'cache-control',
  'content-disposition',
  'content-length',
  'content-range',
  'content-security-policy',
  'content-type',
  'etag',
] as const;

/** The headers of a file, whatever part of it is sent; `until` is when its URL expires. */
export function headersOf(file: MediaFile, until: Date): Record<string, string> {
  const seconds = Math.max(0, Math.floor((until.getTime() - Date.now()) / 1000));
  return {
    'accept-ranges': 'bytes',
    'cache-control': `private, max-age=${seconds}, immutable`,
    ...(file.fileName === null ? {} : { 'content-disposition': dispositionOf(file) }),
    // It is a stranger's file: whatever it says it is, no browser may run anything of it.
    'content-security-policy': "sandbox; default-src 'none'; media-src 'self'; style-src 'unsafe-inline'",
    'content-type': file.mimeType,
    etag: `"${file.tag}"`,
  };
}

/** Content-Disposition (RFC 6266): an ASCII name for old clients, the real one encoded as RFC 8187 says. */
export function dispositionOf({ fileName }: Pick<MediaFile, 'fileName'>): string {
  if (fileName === null) return 'inline';
  const ascii = fileName.replace(/[^\x20-\x7e]|["\\%]/g, '_');
  const encoded = encodeURIComponent(fileName.toWellFormed()).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `inline; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}
