import type { ListObjectsV2CommandOutput, _Object as StoredObject } from '@aws-sdk/client-s3';
import { SourceError } from './errors.ts';
import type { S3Connection } from './s3-connection.ts';
import { archived, noS3 } from './s3-errors.ts';
import { judgePlus, type ListedKey, type Plus, readKey } from './s3-keys.ts';
import { s3Version } from './s3-version.ts';
import type { ListedObject } from './source.ts';

/** An object of a page. */
export interface PageEntry {
  readonly key: ListedKey;
  readonly object: StoredObject;
}

/** Reads the pages of a bucket, which may write their keys in several ways. */
export interface PageReader {
  /** @throws {SourceError} when it is no page, or the store was asked how it writes keys and did not answer. */
  read(answer: ListObjectsV2CommandOutput, signal: AbortSignal): Promise<readonly PageEntry[]>;
}

interface PageReaderOptions {
  readonly connection: S3Connection;
  /** Of the service, for messages. */
  readonly host: string;
  /** That all keys have. */
  readonly prefix: string;
}

/** Makes a reader for the pages of one bucket. */
export function createPageReader({ connection, host, prefix }: PageReaderOptions): PageReader {
  let known: Plus | undefined;

  async function plusIn(keys: readonly string[], signal: AbortSignal): Promise<Plus> {
    const told = judgePlus(keys);
    if (told === 'NONE') return 'SPACE';
    if (told !== 'UNKNOWN') return told;
    known ??= await askForPlus(signal);
    return known;
  }

  /** Stores write the prefix that was asked for as they write keys: one with a space and a plus shows what is what. */
  async function askForPlus(signal: AbortSignal): Promise<Plus> {
    try {
      const answer = await connection.list(
        { Prefix: `${prefix} +`, MaxKeys: 1, EncodingType: 'url' },
        signal,
      );
      return answer.Prefix?.endsWith('%20+') === true ? 'PLUS' : 'SPACE';
    } catch (error) {
      if (error instanceof SourceError && !error.retryable) return 'SPACE';
      throw error;
    }
  }

  return {
    async read(answer, signal) {
      const named = (answer.Contents ?? []).map((object) => {
        if (object.Key === undefined || object.Key === '') throw noS3({ host });
        return { raw: object.Key, object };
      });
      const isEncoded = answer.EncodingType === 'url';
      const plus = isEncoded
        ? await plusIn(
            named.map(({ raw }) => raw),
            signal,
          )
        : null;
      return named.map(({ raw, object }) => ({ key: readKey(raw, plus), object }));
    },
  };
}

/**
 * What a listing says of an object.
 * @throws {SourceError} when it has no size.
 */
export function toListedObject({ key, object }: PageEntry, host: string): ListedObject {
  const { Size: size, ETag: etag, LastModified: modified } = object;
  if (size === undefined || !Number.isSafeInteger(size) || size < 0) throw noS3({ host });
  const refusal = refusalOf(key, object);
  return {
    key: key.key,
    size,
    version: s3Version(size, etag, modified),
    ...(refusal === null ? {} : { refusal }),
  };
}

function refusalOf({ isText, isTooLong }: ListedKey, object: StoredObject): SourceError | null {
  if (isTooLong) {
    return new SourceError(
      'SOURCE_UNAVAILABLE',
      'The key of the object is longer than 1024 bytes; copy it to a shorter key.',
    );
  }
  if (!isText) {
    return new SourceError(
      'SOURCE_UNAVAILABLE',
      'The key of the object holds characters that cannot be stored as text; copy it to another key.',
    );
  }
  return isArchived(object) ? archived() : null;
}

/** GLACIER_IR is read like any other; so is what was restored, until that copy expires. */
function isArchived({ StorageClass: kind, RestoreStatus: restored }: StoredObject): boolean {
  if (kind !== 'GLACIER' && kind !== 'DEEP_ARCHIVE') return false;
  return (
    restored?.IsRestoreInProgress === true || (restored?.RestoreExpiryDate?.getTime() ?? 0) <= Date.now()
  );
}
