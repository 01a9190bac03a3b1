import type { HeaderReader } from './http-headers.ts';

/**
 * What tells this version of an object from another: its strong ETag in quotes, else the time of its last change as HTTP
 * writes it; behind it the size. Listings and answers to GET tell the same, whatever quotes and times they are sent with.
 * @param size in bytes
 */
export function s3Version(size: number, etag: string | undefined, modified: Date | undefined): string | null {
  const mark = strongEtag(etag) ?? httpDate(modified);
  return mark === undefined ? null : `${mark};${size}`;
}

/** The ETag in a version, in quotes; null if there is none in it. */
export function etagOf(version: string | null | undefined): string | null {
  return /^("[^"]*");\d+$/.exec(version ?? '')?.[1] ?? null;
}

/** The size in a version, in bytes. */
export function sizeOf(version: string): number | null {
  const size = /;(\d{1,16})$/.exec(version)?.[1];
  return size === undefined ? null : Number(size);
}

/** A version as `versionOf` reads it from the headers of `evenHeaders`. */
export const headerVersionOf = (version: string | null): string | null => etagOf(version) ?? version;

/** A version that `versionOf` read from the headers of `evenHeaders`, as `s3Version` writes it. */
export function versionOfHeader(version: string | null, size: number | null): string | null {
  if (version === null || !version.startsWith('"')) return version;
  return size === null ? null : `${version};${size}`;
}

/** Reads headers with what versions are made of in one and the same spelling. */
export function evenHeaders(header: HeaderReader): HeaderReader {
  return (name) => {
    const text = header(name);
    if (name === 'etag') return strongEtag(text);
    if (name === 'last-modified') return httpDate(new Date(text ?? ''));
    return text;
  };
}

/** A strong ETag in quotes; some stores send it without. A weak one promises no equal bytes. */
function strongEtag(text: string | undefined): string | undefined {
  const inner = /^"?([!#-~]{1,1000}?)"?$/.exec(text?.trim() ?? '')?.[1];
  return inner === undefined || text?.trim().startsWith('W/') ? undefined : `"${inner}"`;
}

function httpDate(time: Date | undefined): string | undefined {
  return time === undefined || Number.isNaN(time.getTime()) ? undefined : time.toUTCString();
}
