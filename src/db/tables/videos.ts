import { sql } from 'drizzle-orm';
import {
  check,
  doublePrecision,
  foreignKey,
  index,
  integer,
  jsonb,
  primaryKey,
  snakeCase,
  text,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core';
import type { Metadata } from './imports.ts';
import { indexes } from './indexes.ts';
import {
  HLS_STATUSES,
  SCAN_TYPES,
  type StoredPictures,
  type StoredQuality,
  type StoredScenes,
  type StoredStream,
} from './products.ts';
import { teams } from './teams.ts';
import { createdAt, databaseNow, id, instant, startOf } from './types.ts';

/** What was found in the file itself. width and height as shown, duration in seconds, size in bytes, bitrate in bits a second. */
export interface StoredSystemMetadata {
  readonly size: number;
  readonly duration: number;
  readonly width: number;
  readonly height: number;
  readonly container: string;
  readonly mimeType: string;
  readonly videoCodec: string;
  readonly audioCodec: string | null;
  readonly frameRate: number | null;
  readonly bitrate: number | null;
  readonly rotation: number;
  readonly hdr: boolean;
}

/** The master record of an imported video. */
export const videos = snakeCase.table(
  'videos',
  {
    id: id(),
    teamId: uuid()
      .notNull()
      .references(() => teams.id),
    indexId: uuid()
      .notNull()
      .references(() => indexes.id),
    systemName: text(),
    externalId: text(),
    name: text().notNull(),
    description: text(),
    fileName: text().notNull(),
    metadata: jsonb().$type<Metadata>(),
    systemMetadata: jsonb().$type<StoredSystemMetadata>().notNull(),
    duration: doublePrecision().generatedAlwaysAs(sql`(system_metadata ->> 'duration')::double precision`),
    width: integer().generatedAlwaysAs(sql`(system_metadata ->> 'width')::integer`),
    height: integer().generatedAlwaysAs(sql`(system_metadata ->> 'height')::integer`),
    sha256: text().notNull(),
    storageKey: text().notNull(),
    /** The import that brought the version in place, or the task where there was none; versions are ordered by it (ids sort by time). */
    versionImportId: uuid().notNull(),
    // What was made of the version in place, each null until then.
    pictures: jsonb().$type<StoredPictures>(),
    stream: jsonb().$type<StoredStream>(),
    scenes: jsonb().$type<StoredScenes>(),
    quality: jsonb().$type<StoredQuality>(),
    scanType: text({ enum: SCAN_TYPES }),
    /** The folders that files of these lie in: nobody deletes them. Null where there are none. */
    productFolders: text().array(),
    /** Null where HLS was never asked for. */
    hlsStatus: text({ enum: HLS_STATUSES }),
    hlsUpdatedAt: instant(),
    createdAt: createdAt(),
    updatedAt: instant().notNull().default(databaseNow),
    indexedAt: instant(),
  },
  (t) => [
    check('videos_stream', sql`(${t.hlsStatus} = 'COMPLETE') is not true or ${t.stream} is not null`),
    check('videos_hls', sql`(${t.hlsStatus} is null) = (${t.hlsUpdatedAt} is null)`),
    index('videos_by_product_folder')
      .using('gin', t.productFolders)
      .where(sql`${t.productFolders} is not null`),
    check('videos_pair', sql`(${t.systemName} is null) = (${t.externalId} is null)`),
    uniqueIndex('videos_one_per_pair').on(t.indexId, t.systemName, t.externalId),
    index('videos_by_created').on(t.teamId, t.createdAt, t.id),
    index('videos_by_updated').on(t.teamId, t.updatedAt, t.id),
    index('videos_by_index').on(t.indexId, t.createdAt, t.id),
    index('videos_by_index_updated').on(t.indexId, t.updatedAt, t.id),
    index('videos_by_file_name').on(t.teamId, startOf(t.fileName), t.createdAt, t.id),
    index('videos_by_external_id')
      .on(t.teamId, t.externalId.op('text_pattern_ops'), t.createdAt, t.id)
      .where(sql`${t.externalId} is not null`),
    index('videos_by_metadata').using('gin', t.metadata.op('jsonb_path_ops')),
    index('videos_by_content').on(t.indexId, t.sha256),
    index('videos_by_storage_key').on(t.storageKey),
  ],
);

/** Which video a pair names within an index: known from the first task on, before the video is there. */
export const videoKeys = snakeCase.table(
  'video_keys',
  {
    indexId: uuid()
      .notNull()
      .references(() => indexes.id, { onDelete: 'cascade' }),
    systemName: text().notNull(),
    externalId: text().notNull(),
    videoId: uuid().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.indexId, t.systemName, t.externalId] }),
    index('video_keys_video').on(t.videoId),
  ],
);

/**
 * Who brings a content (SHA-256) into an index: the task on its way (`taskId`), or, once it is in, the video alone.
 * The primary key is what makes two imports of the same bytes end as one video.
 */
export const contentClaims = snakeCase.table(
  'content_claims',
  {
    indexId: uuid().notNull(),
    sha256: text().notNull(),
    videoId: uuid().notNull(),
    taskId: uuid(),
  },
  (t) => [
    primaryKey({ columns: [t.indexId, t.sha256] }),
    foreignKey({ columns: [t.indexId], foreignColumns: [indexes.id] }).onDelete('cascade'),
    index('content_claims_video').on(t.videoId),
  ],
);

/** What a source held when it came in: the same version again needs no transfer. `source` is the SHA-256 of the URL, which may carry secrets, or of an integration's location and key. */
export const sourceVersions = snakeCase.table(
  'source_versions',
  {
    indexId: uuid()
      .notNull()
      .references(() => indexes.id, { onDelete: 'cascade' }),
    source: text().notNull(),
    version: text().notNull(),
    sha256: text().notNull(),
    videoId: uuid()
      .notNull()
      .references(() => videos.id, { onDelete: 'cascade' }),
  },
  (t) => [primaryKey({ columns: [t.indexId, t.source] }), index('source_versions_video').on(t.videoId)],
);
