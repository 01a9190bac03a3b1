import { sql } from 'drizzle-orm';
import type { Database, Transaction } from '../db/client.ts';
import type { Metadata } from '../db/tables/imports.ts';

/** What an index holds already that an entry may be the same as. */
export interface Known {
  /** The video that the pair names; an object has no pair. */
  readonly video: KnownVideo | null;
  /** What the entry's source held when it came in last. */
  readonly source: { readonly version: string; readonly sha256: string } | null;
  /** By SHA-256, the videos that hold the contents asked about: only of those that are in. */
  readonly contents: ReadonlyMap<string, string>;
  /** The latest task of the same object in this index, if that FAILED; looked up only where it counts. */
  readonly failed: { readonly version: string | null; readonly message: string } | null;
}

/** Nothing is known. */
export const UNKNOWN: Known = { video: null, source: null, contents: new Map(), failed: null };

export interface KnownVideo {
  readonly id: string;
  readonly sha256: string;
  readonly name: string;
  readonly description: string | null;
  readonly metadata: Metadata | null;
  readonly versionImportId: string;
}

interface Asked {
  readonly ordinal: number;
  /** What its source is known by. */
  readonly source: string;
  readonly externalId: string | null;
  readonly key: string | null;
  readonly sha256: string | null;
}

interface LookUp {
  readonly indexId: string;
  /** Of the pairs; null where there are none. */
  readonly systemName: string | null;
  /** The integration whose failed tasks count; null: none do. */
  readonly failedOf: string | null;
  readonly entries: readonly Asked[];
}

interface Row extends Record<string, unknown> {
  ordinal: number;
  video: KnownVideo | null;
  version: string | null;
  source_sha256: string | null;
  given_video_id: string | null;
  source_video_id: string | null;
  failed: Known['failed'];
}

/**
 * Looks up, in one statement, what the index knows of each entry: its pair's video, its source's last version, who holds
 * the contents that follow from either a given SHA-256 or that version, and whether it failed before.
 * @returns by ordinal
 */
export async function lookUpKnown(
  db: Database | Transaction,
  { indexId, systemName, failedOf, entries }: LookUp,
): Promise<ReadonlyMap<number, Known>> {
  const { rows } = await db.execute<Row>(sql`
    select e.ordinal,
           case when v.id is not null then jsonb_build_object('id', v.id, 'sha256', v.sha256, 'name', v.name,
             'description', v.description, 'metadata', v.metadata, 'versionImportId', v.version_import_id) end as video,
           s.version, s.sha256 as source_sha256, given.video_id as given_video_id, held.video_id as source_video_id,
           case when l.status = 'FAILED' then jsonb_build_object('version', l.source_version, 'message', l.error ->> 'message') end as failed
      from jsonb_to_recordset(${JSON.stringify(entries)}::jsonb)
        as e(ordinal int, "externalId" text, source text, key text, sha256 text)
      left join videos v on v.index_id = ${indexId} and v.system_name = ${systemName} and v.external_id = e."externalId"
      left join source_versions s on s.index_id = ${indexId} and s.source = e.source
      left join content_claims given on given.index_id = ${indexId} and given.sha256 = e.sha256 and given.task_id is null
      left join content_claims held on held.index_id = ${indexId} and held.sha256 = s.sha256 and held.task_id is null
      left join lateral (
        select t.status, t.source_version, t.error from tasks t
         where t.integration_id = ${failedOf}::uuid and t.index_id = ${indexId} and t.source_key = e.key
           and t.skip_reason is distinct from 'FAILED_BEFORE'
         order by t.id desc limit 1
      ) l on true`);
  const given = new Map(entries.map((entry) => [entry.ordinal, entry.sha256]));
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
    failed: row.failed,
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
