import { createHash, randomUUID } from 'node:crypto';
import { type Content, joinedContent } from './content.ts';
import { compareBytes, quoted } from './encoding.ts';
import { noSuchUpload, S3Failure } from './failure.ts';

/** The least that all parts but the last must have, in bytes. */
const MIN_PART_BYTES = 5 * 1024 * 1024;

export interface Part {
  readonly number: number;
  readonly content: Content;
  /** Hex. */
  readonly md5: string;
  readonly lastModified: Date;
}

export interface Upload {
  readonly key: string;
  readonly uploadId: string;
  readonly initiated: Date;
  readonly contentType: string | undefined;
  readonly parts: Map<number, Part>;
}

/** A part as a request to complete an upload names it. */
export interface NamedPart {
  readonly number: number;
  readonly etag: string;
}

/** The uploads of a bucket that are neither completed nor aborted. */
export interface Uploads {
  begin(key: string, contentType: string | undefined): Upload;
  /** @throws {S3Failure} NoSuchUpload. */
  get(key: string, uploadId: string): Upload;
  end(upload: Upload): void;
  /** By key, and then by the time they were begun. */
  all(): Upload[];
}

export function createUploads(): Uploads {
  const uploads = new Map<string, Upload>();
  return {
    begin(key, contentType) {
      const uploadId = randomUUID().replaceAll('-', '');
      const upload = { key, uploadId, initiated: new Date(), contentType, parts: new Map<number, Part>() };
      uploads.set(uploadId, upload);
      return upload;
    },
    get(key, uploadId) {
      const upload = uploads.get(uploadId);
      if (upload === undefined || upload.key !== key) throw noSuchUpload();
      return upload;
    },
    end: (upload) => void uploads.delete(upload.uploadId),
    all: () => [...uploads.values()].sort((a, b) => compareBytes(a.key, b.key)),
  };
}

/** The parts of an upload by number. */
export const partsOf = (upload: Upload): Part[] =>
  [...upload.parts.values()].sort((a, b) => a.number - b.number);

/**
 * Puts the named parts together.
 * @throws {S3Failure} when they are not in order, not there, another version, or too small.
 */
export function assemble(
  upload: Upload,
  named: readonly NamedPart[],
): { readonly content: Content; readonly etag: string } {
  if (named.length === 0) throw new S3Failure(400, 'MalformedXML', 'At least one part must be named.');
  const parts = named.map(({ number, etag }, index) => {
    if (index > 0 && number <= (named[index - 1]?.number ?? 0)) throw invalidOrder();
    const part = upload.parts.get(number);
    if (part === undefined || quoted(part.md5) !== quoted(etag)) throw invalidPart(number);
    return part;
  });
  if (parts.slice(0, -1).some((part) => part.content.size < MIN_PART_BYTES)) throw tooSmall();
  const digest = createHash('md5');
  for (const part of parts) digest.update(Buffer.from(part.md5, 'hex'));
  return {
    content: joinedContent(parts.map((part) => part.content)),
    etag: `${digest.digest('hex')}-${parts.length}`,
  };
}

const invalidOrder = () =>
  new S3Failure(400, 'InvalidPartOrder', 'The parts must be named in ascending order.');

const invalidPart = (number: number) =>
  new S3Failure(400, 'InvalidPart', 'A part could not be found, or its ETag is another one.', {
    details: { PartNumber: String(number) },
  });

const tooSmall = () =>
  new S3Failure(400, 'EntityTooSmall', 'A part other than the last is smaller than the minimum.');
