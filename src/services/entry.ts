import { createHash } from 'node:crypto';
import type { StoredInput, StoredObjectInput } from '../db/tables/imports.ts';
import type { ObjectSource, ProbedFile } from '../sources/source.ts';
import { createUploadFile } from '../sources/upload-file.ts';
import type { Services } from './deps.ts';
import { openUrl } from './source-urls.ts';
import { readUpload, uploadKey } from './upload-rows.ts';

/** One entry of an import, as it is judged: the same for a URL, an upload and an object. */
export interface Entry {
  readonly ordinal: number;
  readonly input: StoredInput;
}

/** Whether an entry is an object of an integration, or else a video by its URL or upload. */
export function isObject(input: StoredInput): input is StoredObjectInput {
  return 'key' in input;
}

/** What a URL is known by: it may carry secrets in its query, so only a hash of it is kept. */
export function hashUrl(url: string): string {
  return createHash('sha256').update(url).digest('hex');
}

/** What an upload is known by: nothing else ever holds what it did. */
export function hashUpload(uploadId: string): string {
  return createHash('sha256').update(`upload ${uploadId}`).digest('hex');
}

/** What an object is known by: its integration, the place that this points to, and the key. */
export function hashObject(integrationId: string, place: string, key: string): string {
  return createHash('sha256')
    .update(JSON.stringify([integrationId, place, key]))
    .digest('hex');
}

/** An integration that entries come from, opened. */
export interface OpenIntegration {
  readonly id: string;
  readonly source: ObjectSource;
}

interface EntrySource {
  /** What the source of the entry is known by. */
  readonly hash: string;
  file(): ProbedFile;
}

/** Where an entry comes from. */
export function sourceOf(
  services: Services,
  input: StoredInput,
  { teamId, integration }: { readonly teamId: string; readonly integration: OpenIntegration | null },
): EntrySource {
  if (!isObject(input)) {
    if (input.uploadId !== undefined) return uploadSource(services, input.uploadId);
    if (input.url === undefined) throw new Error('a video without a URL and without an upload');
    const url = openUrl(services.secrets, input.url, teamId);
    return { hash: hashUrl(url), file: () => services.urlFile(url) };
  }
  if (integration === null) throw new Error('an object without an integration');
  const { id, source } = integration;
  return { hash: hashObject(id, source.place, input.key), file: () => source.file(input.key) };
}

function uploadSource({ db, storage }: Services, uploadId: string): EntrySource {
  const isComplete = async () => (await readUpload(db, uploadId))?.isComplete ?? false;
  return {
    hash: hashUpload(uploadId),
    file: () => createUploadFile({ storage, key: uploadKey(uploadId), isComplete }),
  };
}
