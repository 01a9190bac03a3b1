import { StorageError } from './adapter.ts';
import { notFound } from './file-errors.ts';
import type { S3Bucket } from './s3-bucket.ts';
import type { S3Objects } from './s3-objects.ts';
import type { UploadedPart } from './s3-pages.ts';
import type { S3Uploads, UploadName } from './s3-uploads.ts';

/** What a store copies in one request, in bytes: S3 takes up to 5 GiB, but no byte may come back before a slow store is done. */
const MAX_COPY_BYTES = 256 * 1024 ** 2;
/** What one part of a larger one copies at least, and how many parts an object may have. */
const PART_BYTES = 256 * 1024 ** 2;
const MOST_PARTS = 10_000;

interface Parts {
  readonly bucket: S3Bucket;
  readonly objects: S3Objects;
  readonly uploads: S3Uploads;
  /** For tests; what one request copies at most. */
  readonly maxCopyBytes?: number;
}

/**
 * Lets an object be at another key: the store copies it, and the old one goes when the new one is as large.
 * @throws {StorageError}
 */
export async function moveObject(
  { bucket, objects, uploads, maxCopyBytes = MAX_COPY_BYTES }: Parts,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<void> {
  const size = (await objects.stat(from))?.size;
  if (size === undefined) throw notFound();
  const source = encodeURIComponent(`${bucket.name}/${bucket.nameOf(from)}`).replaceAll('%2F', '/');
  if (size <= maxCopyBytes) await copyWhole(bucket, source, to);
  else
    await copyInParts(
      { bucket, uploads },
      {
        source,
        to,
        size,
        partBytes: Math.max(Math.min(PART_BYTES, maxCopyBytes), Math.ceil(size / MOST_PARTS)),
      },
    );
  const copied = await objects.stat(to);
  if (copied?.size !== size) {
    await objects.deleteOne(to);
    throw new StorageError(
      'UNAVAILABLE',
      `The store made a copy of ${copied?.size ?? 0} bytes from ${size} bytes; it was deleted again.`,
    );
  }
  await objects.deleteOne(from);
}

async function copyWhole(bucket: S3Bucket, CopySource: string, to: string): Promise<void> {
  await bucket.call('CopyObject', (s3) =>
    s3.copyObject({ Bucket: bucket.name, Key: bucket.nameOf(to), CopySource }),
  );
}

interface PartsOfCopy {
  readonly source: string;
  readonly to: string;
  /** In bytes. */
  readonly size: number;
  readonly partBytes: number;
}

async function copyInParts(
  { bucket, uploads }: Pick<Parts, 'bucket' | 'uploads'>,
  { source, to, size, partBytes }: PartsOfCopy,
): Promise<void> {
  const upload = { key: to, id: await uploads.begin(to) };
  try {
    const parts: UploadedPart[] = [];
    for (let start = 0; start < size; start += partBytes) {
      const range = { start, end: Math.min(start + partBytes, size) - 1 };
      parts.push(await copyPart(bucket, { upload, source, number: parts.length + 1, range }));
    }
    await uploads.complete(upload, parts);
  } catch (error) {
    await uploads.tryAbort(upload);
    throw error;
  }
}

interface PartOfCopy {
  readonly upload: UploadName;
  readonly source: string;
  readonly number: number;
  readonly range: { readonly start: number; readonly end: number };
}

async function copyPart(
  bucket: S3Bucket,
  { upload, source, number, range: { start, end } }: PartOfCopy,
): Promise<UploadedPart> {
  const { CopyPartResult } = await bucket.call('UploadPartCopy', (s3) =>
    s3.uploadPartCopy({
      Bucket: bucket.name,
      Key: bucket.nameOf(upload.key),
      UploadId: upload.id,
      PartNumber: number,
      CopySource: source,
      CopySourceRange: `bytes=${start}-${end}`,
    }),
  );
  const etag = CopyPartResult?.ETag;
  if (etag === undefined)
    throw new StorageError('UNAVAILABLE', 'The store answered UploadPartCopy without what it has to say.');
  return { number, etag, size: end - start + 1 };
}
