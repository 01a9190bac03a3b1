import { SourceError } from './errors.ts';
import type { HttpResponse } from './http-client.ts';
import { errorOfStatus, unavailable } from './http-errors.ts';
import { isEncoded, isRefusedType, mediaTypeOf } from './http-headers.ts';

/**
 * Lets a response through whose body is (part of) a file that may be a video.
 * @throws {SourceError} for a status that is no success, a body that is not the file's own bytes, or a declared type
 *   that is no video.
 */
export function assertAcceptable(response: HttpResponse): void {
  const { status, header, url } = response;
  if (status === 204 || status === 205) throw emptyFile();
  if (status !== 200 && status !== 203 && status !== 206) {
    throw errorOfStatus(status, url.hostname, header('retry-after'));
  }
  const contentType = header('content-type') ?? null;
  if (isRefusedType(contentType)) throw refusedType(url.hostname, mediaTypeOf(contentType));
  if (isEncoded(header)) {
    throw unavailable(
      `${url.hostname} sends the file compressed (Content-Encoding); it must be sent as it is.`,
    );
  }
}

/** The error for a file without any bytes. */
export function emptyFile(): SourceError {
  return new SourceError('VIDEO_FILE_BROKEN', 'The file is empty; check that it was stored completely.');
}

function refusedType(host: string, type: string): SourceError {
  const shown = type.replace(/[^\w.+/-]/g, '').slice(0, 100);
  const message = `${host} declares the type ${shown}, which is no video; check that the URL leads to the file itself.`;
  return new SourceError('UNSUPPORTED_MEDIA_TYPE', message);
}
