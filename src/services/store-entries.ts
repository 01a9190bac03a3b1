import { sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import type { StoredInput } from '../db/tables/imports.ts';
import { fileNameOf } from './list-entries.ts';
import type { SecretBox } from './secret-box.ts';
import { sealUrl } from './source-urls.ts';
import type { ObjectInput, VideoInput } from './start-import-input.ts';
import type { FoundUploads } from './use-uploads.ts';

interface NewEntries {
  readonly importId: string;
  readonly teamId: string;
  readonly secrets: SecretBox;
  /** Those that the videos name. */
  readonly uploads: FoundUploads;
  readonly videos: readonly VideoInput[];
  readonly objects: readonly ObjectInput[];
}

/** What is kept of a named object. */
export function objectEntry(object: ObjectInput): StoredInput {
  return { ...withoutNulls(object), key: object.key, fileName: object.fileName ?? fileNameOf(object.key) };
}

/** What is kept of a named video, its URL encrypted where it may carry a secret. */
export function videoEntry(
  video: VideoInput,
  { secrets, teamId, uploads }: Pick<NewEntries, 'secrets' | 'teamId' | 'uploads'>,
): StoredInput {
  const { externalId, fileName, url, uploadId } = video;
  const given = { ...withoutNulls(video), externalId, fileName };
  if (url != null) return { ...given, url: sealUrl(secrets, url, teamId) };
  const upload = uploads.get(uploadId ?? '');
  if (upload === undefined) throw new Error('a video without a URL and without an upload');
  return { ...given, uploadId: upload.id, size: upload.length };
}

const withoutNulls = (value: object) =>
  Object.fromEntries(Object.entries(value).filter(([, item]) => item != null));

/** Which of the texts occurred before in the list, by position. */
export function repeatedIn(texts: readonly string[]): readonly number[] {
  const seen = new Set<string>();
  return texts.flatMap((text, at) => {
    if (seen.has(text)) return [at];
    seen.add(text);
    return [];
  });
}

/** Why an entry is rejected that occurs again. */
export const DUPLICATE = {
  code: 'DUPLICATE_IN_REQUEST',
  message: 'The same one occurs earlier in this request. Each may be named once.',
  retryable: false,
} as const;

/** Stores named entries; one that occurs again in the same call is rejected on the spot. */
export async function insertEntries(tx: Transaction, entries: NewEntries): Promise<void> {
  const { importId, teamId, videos, objects } = entries;
  const inputs = [...videos.map((video) => videoEntry(video, entries)), ...objects.map(objectEntry)];
  const rows = JSON.stringify(inputs.map((input, ordinal) => ({ ordinal, input })));
  await tx.execute(sql`
    insert into import_entries (import_id, ordinal, input)
    select ${importId}, ordinal, input from jsonb_to_recordset(${rows}::jsonb) as r(ordinal int, input jsonb)`);
  const names = videos.length > 0 ? videos.map((video) => video.externalId) : objects.map(({ key }) => key);
  const repeated = repeatedIn(names).map((ordinal) => ({ ordinal, id: uuidv7() }));
  if (repeated.length > 0) await rejectRepeated(tx, { importId, teamId, repeated });
}

async function rejectRepeated(
  tx: Transaction,
  {
    importId,
    teamId,
    repeated,
  }: Pick<NewEntries, 'importId' | 'teamId'> & {
    readonly repeated: readonly { readonly ordinal: number; readonly id: string }[];
  },
): Promise<void> {
  await tx.execute(sql`
    with repeated as (
      update import_entries e set verdict = 'REJECTED'
        from jsonb_to_recordset(${JSON.stringify(repeated)}::jsonb) as r(ordinal int, id uuid)
       where e.import_id = ${importId} and e.ordinal = r.ordinal
      returning r.id, e.ordinal, e.input
    )
    insert into failed_files (id, team_id, import_id, ordinal, file_name, name, external_id, source_key,
                              error_code, error_message, error_retryable)
    select id, ${teamId}, ${importId}, ordinal, input ->> 'fileName', coalesce(input ->> 'name', input ->> 'fileName'),
           input ->> 'externalId', input ->> 'key', ${DUPLICATE.code}, ${DUPLICATE.message}, ${DUPLICATE.retryable}
      from repeated order by ordinal`);
}
