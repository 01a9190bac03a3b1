import type { Logger } from 'pino';
import type { StorageWriter } from './adapter.ts';
import { createParts, type Parts } from './parts.ts';
import type { S3Objects } from './s3-objects.ts';
import type { UploadedPart } from './s3-pages.ts';
import type { S3Uploads, UploadName } from './s3-uploads.ts';

export interface S3WriterOptions {
  readonly key: string;
  readonly objects: S3Objects;
  readonly uploads: S3Uploads;
  readonly log: Logger;
}

/** One try of writing: the parts, and the upload that takes them as soon as there is more than one. */
interface Draft {
  readonly parts: Parts;
  /** The upload; null as long as none was begun. */
  upload(): Promise<UploadName> | null;
  /** What the store has, in order. */
  uploaded(): readonly UploadedPart[];
}

/**
 * Opens an object for writing: a single request when it fits into one part, an upload in parts otherwise. What an
 * earlier write left at the key is thrown away first.
 * @throws {StorageError}
 */
export async function openS3Writer({ key, objects, uploads, log }: S3WriterOptions): Promise<StorageWriter> {
  for await (const earlier of uploads.list(key)) {
    if (earlier.key === key) await uploads.tryAbort(earlier);
  }
  let draft = createDraft(uploads, key);
  let state: 'OPEN' | 'FAILED' | 'ENDED' = 'OPEN';

  const assertOpen = () => {
    if (state !== 'OPEN') throw new Error('This writer has ended.');
  };

  return {
    get bytes() {
      return draft.parts.bytes();
    },
    async expect(totalBytes) {
      assertOpen();
      draft.parts.expect(totalBytes);
    },
    async write(chunk) {
      assertOpen();
      await draft.parts.write(chunk);
    },
    async reset() {
      assertOpen();
      await throwAway(uploads, draft);
      draft = createDraft(uploads, key);
    },
    async commit() {
      assertOpen();
      state = 'FAILED';
      if (draft.parts.isBegun()) await finish(uploads, draft);
      else await objects.put(key, draft.parts.gathered());
      state = 'ENDED';
    },
    async close() {
      if (state === 'ENDED') return;
      state = 'ENDED';
      try {
        await draft.parts.flush();
      } catch (error) {
        await draft.parts.settle();
        log.warn(
          { err: error, key },
          'the end of an unfinished write was not kept; a later attempt writes it again',
        );
      }
    },
    async discard() {
      if (state === 'ENDED') return;
      state = 'ENDED';
      await throwAway(uploads, draft);
    },
  };
}

function createDraft(uploads: S3Uploads, key: string): Draft {
  const uploaded: UploadedPart[] = [];
  let upload: Promise<UploadName> | null = null;
  const parts = createParts(async (number, bytes) => {
    upload ??= uploads.begin(key).then((id) => ({ key, id }));
    uploaded.push(await uploads.send(await upload, number, bytes));
  });
  return {
    parts,
    upload: () => upload,
    uploaded: () => uploaded.toSorted((one, other) => one.number - other.number),
  };
}

async function finish(uploads: S3Uploads, draft: Draft): Promise<void> {
  await draft.parts.flush();
  const upload = await draft.upload();
  if (upload !== null) await uploads.complete(upload, draft.uploaded());
}

/** Only when nothing is on its way any more: a part that came in after the end would stay there. */
async function throwAway(uploads: S3Uploads, draft: Draft): Promise<void> {
  await draft.parts.settle();
  const upload = await draft.upload()?.catch(() => null);
  if (upload != null) await uploads.tryAbort(upload);
}
