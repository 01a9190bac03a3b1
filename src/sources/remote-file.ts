import { assertAcceptable, emptyFile } from './accept.ts';
import { createBeginning } from './beginning.ts';
import { NotReadableAheadError, SourceError } from './errors.ts';
import type { HttpResponse } from './http-client.ts';
import { unavailable } from './http-errors.ts';
import { contentLength, parseContentRange, versionOf } from './http-headers.ts';

/** How much the first request asks for unless more is wanted, in bytes: enough for the header of most files. */
const FIRST_BYTES = 65_536;

/** The Range header of the first request. @param bytes that it asks for; 64 KiB */
export const firstRange = (bytes = FIRST_BYTES): string => `bytes=0-${bytes - 1}`;

/** A file at some source, of which parts can be read. With a known size it is a reader for random access. */
export interface RemoteFile {
  /** In bytes; null if the source does not tell. */
  readonly size: number | null;
  /** Its strong ETag, or the time of its last change with its size; null if the source tells neither. */
  readonly version: string | null;
  /** As declared; proves nothing. */
  readonly contentType: string | null;
  /** Whether any part can be read, or only the beginning. */
  readonly acceptsRanges: boolean;
  /**
   * Reads up to `length` bytes from `offset` on; fewer only at the end of the file.
   * @throws {SourceError} SOURCE_CHANGED when the file is another one by now, or what the request ended with.
   * @throws {NotReadableAheadError} when the part lies beyond the beginning of a file without ranges.
   */
  read(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array>;
  /** Gives up what is still open. */
  close(): void;
}

/** What to ask for of a file. */
export interface PartRequest {
  /** The Range header; null: all of it. */
  readonly range: string | null;
  /** The version that the part has to be of, as `versionOf` tells it, null: any. Whoever does not look at it is found out. */
  readonly version: string | null;
  readonly signal: AbortSignal;
}

/** Asks the server of a file for a part of it, and gives whatever it answers. */
export type GetPart = (request: PartRequest) => Promise<HttpResponse>;

/**
 * Makes a file of the answer to the request for its `firstRange`.
 * @param get for the parts that are read later, and for the whole where the server cannot give that range
 * @throws {SourceError} by status, declared type, or because the file is empty.
 */
export async function openAnswered(
  first: HttpResponse,
  get: GetPart,
  signal: AbortSignal,
): Promise<RemoteFile> {
  try {
    if (first.status === 206) return await openWithRanges(first, get);
    if (first.status !== 416) return await openBeginning(first);
    first.discard();
    const total = parseContentRange(first.header('content-range'))?.total;
    if (total === 0) throw emptyFile();
    // No range of this file can be satisfied, and the server does not say that it is empty: see it as a whole.
    return await openBeginning(await get({ range: null, version: null, signal }));
  } catch (error) {
    first.discard();
    throw error;
  }
}

async function openWithRanges(first: HttpResponse, get: GetPart): Promise<RemoteFile> {
  assertAcceptable(first);
  const range = parseContentRange(first.header('content-range'));
  if (range === null || range.start !== 0 || range.end === null) throw nonsense(first);
  const { total } = range;
  const beginning = await readPart(first, range.end + 1);
  const version = versionOf(first.header, total);

  async function fetchPart(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array> {
    const response = await get({ range: `bytes=${offset}-${offset + length - 1}`, version, signal });
    try {
      return await readChecked(response, { offset, length, total, version });
    } finally {
      response.discard();
    }
  }

  return {
    size: total,
    version,
    contentType: first.header('content-type') ?? null,
    acceptsRanges: true,
    async read(offset, length, signal) {
      const end = Math.min(offset + length, total ?? Number.MAX_SAFE_INTEGER);
      const known = beginning.subarray(Math.min(offset, end), end);
      const rest = offset + known.length;
      if (rest >= end) return known;
      const fetched = await fetchPart(rest, end - rest, signal);
      return known.length === 0 ? fetched : Buffer.concat([known, fetched]);
    },
    close() {},
  };
}

interface ExpectedPart {
  readonly offset: number;
  readonly length: number;
  readonly total: number | null;
  readonly version: string | null;
}

/** Reads the answer to a request for a part, if it is that part of the same version. */
async function readChecked(response: HttpResponse, expected: ExpectedPart): Promise<Uint8Array> {
  const { status, header } = response;
  if (status === 416 && expected.total === null) return new Uint8Array(0);
  if (status === 416 || status === 412) throw changed();
  assertAcceptable(response);
  if (status !== 206) throw isSameFile(response, expected) ? new NotReadableAheadError() : changed();
  const range = parseContentRange(header('content-range'));
  if (range === null || range.start !== expected.offset || range.end === null) throw nonsense(response);
  const version = versionOf(header, range.total);
  const isOther = expected.version !== null && version !== null && version !== expected.version;
  if (isOther || range.total !== expected.total) throw changed();
  const length = range.end - range.start + 1;
  if (length > expected.length || (length < expected.length && expected.total !== null))
    throw nonsense(response);
  return readPart(response, length);
}

/** Whether a whole file, sent instead of a part, is the one that was opened. */
function isSameFile({ header }: HttpResponse, expected: ExpectedPart): boolean {
  const size = contentLength(header);
  return expected.version === null ? size === expected.total : versionOf(header, size) === expected.version;
}

/** Reads a body that must have just this length, in bytes. */
async function readPart(response: HttpResponse, length: number): Promise<Uint8Array> {
  if (length > MAX_PART_BYTES) throw nonsense(response);
  const part = new Uint8Array(length);
  let filled = 0;
  for await (const chunk of response.body) {
    if (filled + chunk.length > length) throw nonsense(response);
    part.set(chunk, filled);
    filled += chunk.length;
  }
  if (filled < length)
    throw unavailable(`${response.url.hostname} sent less than it announced.`, { retryable: true });
  return part;
}

/** More is never asked for at once: what a server announces is not allocated unseen. */
const MAX_PART_BYTES = 64 * 1024 * 1024;

async function openBeginning(response: HttpResponse): Promise<RemoteFile> {
  try {
    const declared = contentLength(response.header);
    if (declared === 0) throw emptyFile();
    assertAcceptable(response);
    const beginning = createBeginning(response, declared);
    const { ended, length } = await beginning.reach(Math.min(FIRST_BYTES, declared ?? FIRST_BYTES));
    if (ended && length === 0) throw emptyFile();
    const size = declared ?? (ended ? length : null);
    return {
      size,
      version: versionOf(response.header, size),
      contentType: response.header('content-type') ?? null,
      acceptsRanges: false,
      read: beginning.read,
      close: () => response.discard(),
    };
  } catch (error) {
    response.discard();
    throw error;
  }
}

const nonsense = (response: HttpResponse) =>
  unavailable(`${response.url.hostname} answered a request for a part of the file with something else.`, {
    retryable: true,
  });

const changed = () =>
  new SourceError('SOURCE_CHANGED', 'The file was replaced while it was being read.', { retryable: true });
