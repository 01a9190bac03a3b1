import { isDeepStrictEqual } from 'node:util';
import { StorageError } from './adapter.ts';
import type { S3Bucket } from './s3-bucket.ts';

/** An upload in parts that is neither completed nor aborted. */
export interface UnfinishedUpload {
  readonly key: string;
  readonly id: string;
  readonly begunAt: Date;
}

/** A part that the store has. */
export interface UploadedPart {
  /** From 1 on. */
  readonly number: number;
  readonly etag: string;
  /** In bytes. */
  readonly size: number;
}

/**
 * The names in the bucket of objects whose key begins with a text, up to 1,000 at once.
 * @throws {StorageError}
 */
export async function* listNames(bucket: S3Bucket, keyPrefix: string): AsyncGenerator<readonly string[]> {
  const listing = pagesOf(
    (position: string | undefined) =>
      bucket.call('ListObjectsV2', (s3) =>
        s3.listObjectsV2({
          Bucket: bucket.name,
          Prefix: bucket.nameOf(keyPrefix),
          // Names that others made need not be possible in XML.
          EncodingType: 'url',
          ContinuationToken: position,
        }),
      ),
    (page) => (page.IsTruncated === true ? page.NextContinuationToken : undefined),
  );
  for await (const page of listing) {
    const decode = page.EncodingType === 'url' ? decodeName : (name: string) => name;
    yield (page.Contents ?? []).flatMap(({ Key }) => (Key === undefined ? [] : [decode(Key)]));
  }
}

/**
 * The unfinished uploads whose key begins with a text, in the order of the store.
 * @throws {StorageError}
 */
export async function* listUploads(bucket: S3Bucket, keyPrefix: string): AsyncGenerator<UnfinishedUpload> {
  const listing = pagesOf(
    (position: { readonly key: string; readonly id: string | undefined } | undefined) =>
      bucket.call('ListMultipartUploads', (s3) =>
        s3.listMultipartUploads({
          Bucket: bucket.name,
          Prefix: bucket.nameOf(keyPrefix),
          KeyMarker: position?.key,
          UploadIdMarker: position?.id,
        }),
      ),
    ({ IsTruncated, NextKeyMarker: key, NextUploadIdMarker: id }) =>
      IsTruncated === true && key !== undefined ? { key, id } : undefined,
  );
  for await (const page of listing) {
    for (const { Key = '', UploadId, Initiated = new Date() } of page.Uploads ?? []) {
      const key = bucket.keyOf(Key);
      if (key !== null && UploadId !== undefined) yield { key, id: UploadId, begunAt: Initiated };
    }
  }
}

/**
 * The parts of an upload, by number.
 * @throws {StorageError}
 */
export async function* listParts(
  bucket: S3Bucket,
  { key, id }: Pick<UnfinishedUpload, 'key' | 'id'>,
): AsyncGenerator<UploadedPart> {
  const listing = pagesOf(
    (position: string | undefined) =>
      bucket.call('ListParts', (s3) =>
        s3.listParts({
          Bucket: bucket.name,
          Key: bucket.nameOf(key),
          UploadId: id,
          PartNumberMarker: position,
        }),
      ),
    (page) => (page.IsTruncated === true ? page.NextPartNumberMarker : undefined),
  );
  for await (const page of listing) {
    for (const { PartNumber: number, ETag: etag, Size: size } of page.Parts ?? []) {
      if (number !== undefined && etag !== undefined && size !== undefined) yield { number, etag, size };
    }
  }
}

async function* pagesOf<Position, Page>(
  ask: (position: Position | undefined) => Promise<Page>,
  next: (page: Page) => Position | undefined,
): AsyncGenerator<Page> {
  let position: Position | undefined;
  do {
    const page = await ask(position);
    yield page;
    const following = next(page);
    if (following !== undefined && isDeepStrictEqual(following, position))
      throw new StorageError('UNAVAILABLE', 'The store lists the same page again and again.');
    position = following;
  } while (position !== undefined);
}

const decodeName = (encoded: string) => decodeURIComponent(encoded.replaceAll('+', ' '));
