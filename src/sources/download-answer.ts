import { assertAcceptable, emptyFile } from './accept.ts';
import type { HttpResponse } from './http-client.ts';
import { contentLength, parseContentRange, versionOf } from './http-headers.ts';

/** What is known of a file of which some bytes are here. */
export interface KnownPart {
  readonly bytes: number;
  readonly version: string | null;
  readonly total: number | null;
}

/**
 * What an answer is worth to a download:
 * - APPEND: its body goes on exactly where we are, in the same version
 * - WHOLE: its body is the whole file; `isOther` if that is not the version of which we have a part
 * - COMPLETE: there is nothing behind what we have
 * - CHANGED: a part of another version
 * - USELESS: a part that we did not ask for
 */
export type Answer =
  | BodyAnswer
  | { readonly kind: 'COMPLETE' }
  | { readonly kind: 'CHANGED' }
  | { readonly kind: 'USELESS' };

interface BodyAnswer {
  readonly kind: 'APPEND' | 'WHOLE';
  readonly version: string | null;
  readonly total: number | null;
  readonly isOther: boolean;
}

/**
 * Reads the head of an answer to a request for the bytes from `known.bytes` on. Servers exist that send the whole file
 * with a 206, another part, or the right part of another version, so nothing is believed that was not compared.
 * @throws {SourceError} for a status that is no success, and as `assertAcceptable`.
 */
export function readAnswer(response: HttpResponse, known: KnownPart): Answer {
  if (response.status === 416) return readUnsatisfied(response, known);
  if (response.status !== 206 && contentLength(response.header) === 0) throw emptyOr(response);
  assertAcceptable(response);
  return response.status === 206 ? readPartial(response, known) : readWhole(response, known);
}

function readWhole({ header }: HttpResponse, known: KnownPart): Answer {
  const total = contentLength(header);
  const version = versionOf(header, total);
  return { kind: 'WHOLE', version, total, isOther: known.bytes > 0 && isOther(known, { version, total }) };
}

function readPartial({ header }: HttpResponse, known: KnownPart): Answer {
  const range = parseContentRange(header('content-range'));
  if (range === null || known.bytes === 0) return { kind: 'USELESS' };
  const version = versionOf(header, range.total);
  if (isOther(known, { version, total: range.total })) return { kind: 'CHANGED' };
  if (range.start !== known.bytes) return { kind: 'USELESS' };
  return {
    kind: 'APPEND',
    version: version ?? known.version,
    total: range.total ?? known.total,
    isOther: false,
  };
}

function readUnsatisfied(response: HttpResponse, known: KnownPart): Answer {
  const total = parseContentRange(response.header('content-range'))?.total ?? null;
  if (total === 0) throw emptyFile();
  if (known.bytes === 0) assertAcceptable(response);
  const version = versionOf(response.header, total);
  return { kind: total === known.bytes && !isOther(known, { version, total }) ? 'COMPLETE' : 'CHANGED' };
}

/** Whether two versions differ in what both of them tell. */
function isOther(known: Omit<KnownPart, 'bytes'>, found: Omit<KnownPart, 'bytes'>): boolean {
  const differs = <T>(a: T | null, b: T | null) => a !== null && b !== null && a !== b;
  return differs(known.version, found.version) || differs(known.total, found.total);
}

/** An error answer may be empty as well: its status counts first. */
function emptyOr(response: HttpResponse) {
  if (response.status >= 300) assertAcceptable(response);
  return emptyFile();
}
