import type { ListObjectsV2CommandInput, ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import type { SourceError } from './errors.ts';
import { unavailable } from './http-errors.ts';
import type { S3Connection } from './s3-connection.ts';
import { RefusedRequestError } from './s3-errors.ts';
import { createPageReader, type PageEntry, toListedObject } from './s3-page.ts';
import { readPosition, type S3Position, writePosition } from './s3-position.ts';
import type { ObjectSource } from './source.ts';

const PAGE_SIZE = 1000;

/** Stores may give pages without keys, but not for ever. */
const MAX_EMPTY_PAGES = 100;

const BEGINNING: S3Position = { token: null, after: null, empty: 0 };

interface ListingOptions {
  readonly connection: S3Connection;
  /** Of the service, for messages. */
  readonly host: string;
  /** That all keys have; empty: none. */
  readonly prefix: string;
}

/**
 * Makes the `list` of a bucket. A position holds the store's token and the last key, so that the listing goes on when the
 * token has expired. Of keys that cannot be sent those at the end of a page may come again then: they are refused anyway.
 */
export function createS3Listing({ connection, host, prefix: own }: ListingOptions): ObjectSource['list'] {
  const reader = createPageReader({ connection, host, prefix: own });

  return async ({ prefix: asked, position: text, signal }) => {
    signal.throwIfAborted();
    const prefix = narrower(own, asked ?? '');
    if (prefix === null) return { objects: [], next: null };
    const position = text === null ? BEGINNING : readPosition(text);
    const { answer, isAfterKey } = await fetchPage(connection, { position, prefix, signal });
    const entries = await reader.read(answer, signal);
    const next = nextOf(answer, { entries, position });
    if (next === 'STUCK' || (isAfterKey && !areBehind(entries, position.after))) throw stuck(host);
    return {
      objects: entries
        .filter(
          ({ key }) =>
            key.isTooLong || !key.isText || (key.key.startsWith(prefix) && key.key !== position.after),
        )
        .map((entry) => toListedObject(entry, host)),
      next: next === null ? null : writePosition(next),
    };
  };
}

/** The prefix of what both prefixes have in common; null if that is nothing. */
function narrower(one: string, other: string): string | null {
  if (one.startsWith(other)) return one;
  // No key has a lone surrogate in it.
  return other.startsWith(one) && other.isWellFormed() ? other : null;
}

interface PageRequest {
  readonly position: S3Position;
  readonly prefix: string;
  readonly signal: AbortSignal;
}

async function fetchPage(connection: S3Connection, { position, prefix, signal }: PageRequest) {
  const { token, after } = position;
  const ask = (place: Pick<ListObjectsV2CommandInput, 'ContinuationToken' | 'StartAfter'>) =>
    connection.list(
      {
        Prefix: prefix,
        MaxKeys: PAGE_SIZE,
        EncodingType: 'url',
        // Without it an object that was restored looks as if it were archived still.
        OptionalObjectAttributes: ['RestoreStatus'],
        ...place,
      },
      signal,
    );
  if (token !== null) {
    try {
      return { answer: await ask({ ContinuationToken: token }), isAfterKey: false };
    } catch (error) {
      if (!(error instanceof RefusedRequestError)) throw error;
    }
  }
  return { answer: await ask(after === null ? {} : { StartAfter: after }), isAfterKey: after !== null };
}

interface Page {
  readonly entries: readonly PageEntry[];
  /** Where it began. */
  readonly position: S3Position;
}

/** Where the page behind this one begins; null if there is none, STUCK if it would be this one again. */
function nextOf(
  answer: ListObjectsV2CommandOutput,
  { entries, position }: Page,
): S3Position | 'STUCK' | null {
  const last = entries.findLast(({ key }) => key.position !== null)?.key.position ?? null;
  if (entries.length > 1 && last !== null && last === position.after) return 'STUCK';
  if (answer.IsTruncated !== true) return null;
  const token = answer.NextContinuationToken ?? null;
  const isEmpty = entries.length === 0 || last === position.after;
  const empty = isEmpty ? position.empty + 1 : 0;
  if (token === null ? isEmpty : isEmpty && token === position.token) return 'STUCK';
  return empty > MAX_EMPTY_PAGES ? 'STUCK' : { token, after: last ?? position.after, empty };
}

/** Whether all keys come after this one in the order of S3: that of their bytes in UTF-8. */
function areBehind(entries: readonly PageEntry[], after: string | null): boolean {
  const limit = Buffer.from(after ?? '');
  return entries.every(
    ({ key }) =>
      key.position === null || key.position === after || limit.compare(Buffer.from(key.position)) < 0,
  );
}

const stuck = (host: string): SourceError =>
  unavailable(
    `${host} does not go on with the list of objects: it sent the same ones again; the store does not list as S3 does.`,
  );
