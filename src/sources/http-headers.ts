type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** The headers of one response, by lower-case name. Of repeated ones, the first counts. */
export type HeaderReader = (name: string) => string | undefined;

/** Makes a HeaderReader over the headers that undici gives. */
export function headerReader(headers: ResponseHeaders): HeaderReader {
  return (name) => {
    const value = headers[name];
    return Array.isArray(value) ? value[0] : value;
  };
}

export interface ContentRange {
  /** Position of the first and the last byte; null in an answer 416. */
  readonly start: number | null;
  readonly end: number | null;
  /** Size of the whole file in bytes; null if the server does not know. */
  readonly total: number | null;
}

/**
 * Reads `bytes 0-65535/1234567`, `bytes 0-65535/*` or a bare total after an asterisk (RFC 9110, section 14.4).
 * @returns null if there is none or it makes no sense.
 */
export function parseContentRange(text: string | undefined): ContentRange | null {
  const match = /^bytes\s+(?:(\d{1,16})-(\d{1,16})|\*)\/(?:(\d{1,16})|\*)$/i.exec(text?.trim() ?? '');
  if (match === null) return null;
  const [start, end, total] = [match[1], match[2], match[3]].map((part) =>
    part === undefined ? null : Number(part),
  );
  if (start == null || end == null) return total == null ? null : { start: null, end: null, total };
  if (end < start || (total != null && end >= total)) return null;
  return { start, end, total: total ?? null };
}

/** The Content-Length in bytes; null if there is none. */
export function contentLength(header: HeaderReader): number | null {
  const text = header('content-length');
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/**
 * What tells this version of a file from another: its strong ETag, else the time of its last change with its size.
 * Null if the server tells neither; a weak ETag promises no equal bytes (RFC 9110, section 8.8.1).
 */
export function versionOf(header: HeaderReader, size: number | null): string | null {
  const etag = header('etag');
  if (etag !== undefined && /^".*"$/.test(etag)) return etag;
  const modified = header('last-modified');
  return modified !== undefined && size !== null && !Number.isNaN(Date.parse(modified))
    ? `${modified};${size}`
    : null;
}

/** The If-Range header that asks for this version. */
export function ifRangeOf(version: string): string {
  return version.startsWith('"') ? version : (version.split(';')[0] ?? version);
}

const PLAYLISTS: ReadonlySet<string> = new Set([
  'application/vnd.apple.mpegurl',
  'application/x-mpegurl',
  'application/mpegurl',
  'application/dash+xml',
  'application/vnd.ms-sstr+xml',
  'application/smil+xml',
  'application/xspf+xml',
]);

/**
 * Whether a declared type rules a video out: text, image, audio, JSON and playlists. Any other, or none, proves
 * nothing: many servers call everything application/octet-stream.
 */
export function isRefusedType(contentType: string | null): boolean {
  const type = mediaTypeOf(contentType);
  return /^(text|image|audio)\//.test(type) || type === 'application/json' || PLAYLISTS.has(type);
}

/** A Content-Type without its parameters, in lower case; empty if there is none. */
export function mediaTypeOf(contentType: string | null): string {
  return contentType?.split(';')[0]?.trim().toLowerCase() ?? '';
}

/** The codings of RFC 9110 and its registry that change the bytes; other words there are mistakes of the server's. */
const CODINGS = /\b(x-)?(gzip|compress|deflate|br|zstd|dcb|dcz)\b/i;

/** Whether the body is not the file itself but a compressed form of it, although we asked for `identity`. */
export function isEncoded(header: HeaderReader): boolean {
  return CODINGS.test(header('content-encoding') ?? '');
}
