import { createHash } from 'node:crypto';
import { sql } from 'drizzle-orm';
import type { Database, Transaction } from '../db/client.ts';
import type { Metadata } from '../db/tables/imports.ts';

/** What an index holds already that an entry may be the same as. */
export interface Known {
  /** The video that the pair names. */
  readonly video: KnownVideo | null;
  /** What the entry's URL held when it came in last. */
  readonly source: { readonly version: string; readonly sha256: string } | null;
  /** By SHA-256, the videos that hold the contents asked about: only of those that are in. */
  readonly contents: ReadonlyMap<string, string>;
}

export interface KnownVideo {
  readonly id: string;
  readonly sha256: string;
  readonly name: string;
  readonly description: string | null;
  readonly metadata: Metadata | null;
  readonly versionImportId: string;
}

interface Entry {
  readonly ordinal: number;
  readonly externalId: string;
  readonly url: string;
  readonly sha256: string | null;
}

/** What a URL is known by: it may carry secrets in its query, so only a hash of it is kept. */
export function hashUrl(url: string): string {
  return createHash('sha256').update(url).digest('hex');
}

interface Row extends Record<string, unknown> {
  ordinal: number;
  video: KnownVideo | null;
  version: string | null;
  source_sha256: string | null;
  given_video_id: string | null;
  source_video_id: string | null;
}

/**
 * Looks up, in one statement, what the index knows of each entry: its pair's video, its URL's last version, and who holds
 * the contents that follow from either a given SHA-256 or that version.
 * @returns by ordinal
 */
export async function lookUpKnown(
  db: Database | Transaction,
  options: { readonly indexId: string; readonly systemName: string; readonly entries: readonly Entry[] },
): Promise<ReadonlyMap<number, Known>> {
  const asked = options.entries.map(({ ordinal, externalId, url, sha256 }) => ({
    ordinal,
    externalId,
    source: hashUrl(url),
    sha256,
  }));
  const { rows } = await db.execute<Row>(sql`
    select e.ordinal,
           case when v.id is not null then jsonb_build_object('id', v.id, 'sha256', v.sha256, 'name', v.name,
             'description', v.description, 'metadata', v.metadata, 'versionImportId', v.version_import_id) end as video,
           s.version, s.sha256 as source_sha256, given.video_id as given_video_id, held.video_id as source_video_id
      from jsonb_to_recordset(${JSON.stringify(asked)}::jsonb) as e(ordinal int, "externalId" text, source text, sha256 text)
      left join videos v on v.index_id = ${options.indexId} and v.system_name = ${options.systemName} and v.external_id = e."externalId"
      left join source_versions s on s.index_id = ${options.indexId} and s.source = e.source
      left join content_claims given on given.index_id = ${options.indexId} and given.sha256 = e.sha256 and given.task_id is null
      left join content_claims held on held.index_id = ${options.indexId} and held.sha256 = s.sha256 and held.task_id is null`);
  const given = new Map(options.entries.map((entry) => [entry.ordinal, entry.sha256]));
  return new Map(rows.map((row) => [row.ordinal, toKnown(row, given.get(row.ordinal) ?? null)]));
}

function toKnown(row: Row, given: string | null): Known {
  const contents = new Map<string, string>();
  if (given !== null && row.given_video_id !== null) contents.set(given, row.given_video_id);
  if (row.source_sha256 !== null && row.source_video_id !== null)
    contents.set(row.source_sha256, row.source_video_id);
  return {
    video: row.video,
    source:
      row.version !== null && row.source_sha256 !== null
        ? { version: row.version, sha256: row.source_sha256 }
        : null,
    contents,
  };
}

/** What an entry says of its video beside the content; what is left out stays as it is. */
export interface Description {
  readonly name: string | null;
  readonly description: string | null;
  readonly metadata: Metadata | null;
}

/** Whether the video in place says otherwise than what was given. */
export function differs(
  video: Pick<KnownVideo, 'name' | 'description' | 'metadata'>,
  given: Description,
): boolean {
  return (
    (given.name !== null && given.name !== video.name) ||
    (given.description !== null && given.description !== video.description) ||
    (given.metadata !== null && !sameMetadata(given.metadata, video.metadata))
  );
}

function sameMetadata(a: Metadata, b: Metadata | null): boolean {
  if (b === null) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key])
  );
}

/** A video's own metadata wins over the import's, key by key; null when neither gives any. */
export function mergeMetadata(ofImport: Metadata | null, own: Metadata | null): Metadata | null {
  return ofImport === null && own === null ? null : { ...ofImport, ...own };
}
