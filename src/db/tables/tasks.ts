import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  check,
  doublePrecision,
  index,
  integer,
  jsonb,
  snakeCase,
  text,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core';
import type { Metadata } from './imports.ts';
import { indexes } from './indexes.ts';
import type { ProductName } from './products.ts';
import { teams } from './teams.ts';
import { byteCount, createdAt, databaseNow, id, instant, startOf, xid8 } from './types.ts';
import type { StoredSystemMetadata } from './videos.ts';

export const TASK_STATUSES = [
  'PENDING',
  'UPLOADING',
  'VALIDATING',
  'QUEUED',
  'INDEXING',
  'READY',
  'SKIPPED',
  'FAILED',
  'CANCELED',
] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];
/** The statuses that a task ends in. */
export const TERMINAL_STATUSES = ['READY', 'SKIPPED', 'FAILED', 'CANCELED'] as const satisfies TaskStatus[];

export const TASK_OUTCOMES = ['CREATED', 'UPDATED', 'SKIPPED', 'FAILED', 'CANCELED'] as const;
export const SKIP_REASONS = ['SAME_CONTENT', 'SAME_RECORD', 'FAILED_BEFORE', 'SUPERSEDED'] as const;
export const WAIT_REASONS = ['WORKER', 'RETRY', 'UPLOAD', 'STORAGE', 'SAME_CONTENT'] as const;

export type StageName = 'UPLOAD' | 'VALIDATION' | ProductName;
export type StageState = 'WAITING' | 'RUNNING' | 'DONE' | 'FAILED' | 'SKIPPED' | 'CANCELED';

export interface StoredError {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly measured?: string;
  readonly required?: string;
}

/** One stage of a task; instants as RFC 3339 text. */
export interface StoredStage {
  readonly name: StageName;
  readonly state: StageState;
  readonly fraction: number;
  readonly error?: StoredError;
  readonly startedAt?: string;
  readonly finishedAt?: string;
}

/** The part of an unfinished transfer that a later attempt may go on from. */
export interface StoredPartial {
  readonly key: string;
  readonly version: string;
}

const quoted = (values: readonly string[]) => sql.raw(values.map((value) => `'${value}'`).join(', '));

/** One video on its way into an index. */
export const tasks = snakeCase.table(
  'tasks',
  {
    id: id(),
    teamId: uuid()
      .notNull()
      .references(() => teams.id),
    // No foreign key: a deleted import is gone at once, its tasks follow batch by batch.
    importId: uuid(),
    ordinal: integer().notNull(),
    indexId: uuid()
      .notNull()
      .references(() => indexes.id),
    // No foreign key: the id is known before the video is there, and outlives it.
    videoId: uuid().notNull(),
    /** Whether the video was made by this task, or is updated by it; null until that is decided. */
    madeVideo: boolean(),
    systemName: text(),
    externalId: text(),
    fileName: text().notNull(),
    name: text().notNull(),
    nameGiven: boolean().notNull(),
    description: text(),
    metadata: jsonb().$type<Metadata>(),
    incremental: boolean().notNull(),
    /** Encrypted where it may carry a secret; null for an object and for an upload. */
    sourceUrl: text(),
    // No foreign key: deleting an integration must not change each task that ever came from it.
    integrationId: uuid(),
    // No foreign key: a task outlives its upload.
    uploadId: uuid(),
    /** The object's key, or the path below the folder; null for a URL. */
    sourceKey: text(),
    /** What its source is known by in source_versions. */
    sourceHash: text(),
    sourceVersion: text(),
    expectedSha256: text(),
    status: text({ enum: TASK_STATUSES }).notNull().default('PENDING'),
    outcome: text({ enum: TASK_OUTCOMES }),
    skipReason: text({ enum: SKIP_REASONS }),
    reason: text(),
    error: jsonb().$type<StoredError>(),
    errorCode: text().generatedAlwaysAs(sql`error ->> 'code'`),
    waitingFor: text({ enum: WAIT_REASONS }),
    nextAttemptAt: instant(),
    attempts: integer().notNull().default(0),
    fraction: doublePrecision().notNull().default(0),
    bytesDone: byteCount().notNull().default(0),
    bytesTotal: byteCount(),
    stages: jsonb().$type<readonly StoredStage[]>().notNull(),
    partial: jsonb().$type<StoredPartial>(),
    storageKey: text(),
    sha256: text(),
    systemMetadata: jsonb().$type<StoredSystemMetadata>(),
    duration: doublePrecision().generatedAlwaysAs(sql`(system_metadata ->> 'duration')::double precision`),
    width: integer().generatedAlwaysAs(sql`(system_metadata ->> 'width')::integer`),
    height: integer().generatedAlwaysAs(sql`(system_metadata ->> 'height')::integer`),
    /** What it has been promised of its team's limits; given back by a trigger when its video is in, or it ends. */
    reservedVideos: integer().notNull().default(0),
    reservedBytes: byteCount().notNull().default(0),
    reservedMilliseconds: byteCount().notNull().default(0),
    createdAt: createdAt(),
    updatedAt: instant().notNull().default(databaseNow),
    progressedAt: instant().notNull().default(databaseNow),
    startedAt: instant(),
    finishedAt: instant(),
    version: bigint({ mode: 'number' }).notNull().default(1),
    changedXid: xid8().notNull().default(sql`pg_current_xact_id()`),
  },
  (t) => [
    check('tasks_status', sql`${t.status} in (${quoted(TASK_STATUSES)})`),
    check('tasks_outcome', sql`${t.outcome} in (${quoted(TASK_OUTCOMES)})`),
    check('tasks_skip_reason', sql`${t.skipReason} in (${quoted(SKIP_REASONS)})`),
    check('tasks_waiting_for', sql`${t.waitingFor} in (${quoted(WAIT_REASONS)})`),
    check(
      'tasks_ended',
      sql`(${t.finishedAt} is not null) = (${t.status} in (${quoted(TERMINAL_STATUSES)}))`,
    ),
    check('tasks_ended_somehow', sql`(${t.outcome} is not null) = (${t.finishedAt} is not null)`),
    check('tasks_skipped', sql`(${t.skipReason} is not null) = (${t.status} = 'SKIPPED')`),
    check('tasks_waits', sql`(${t.waitingFor} is not null) = (${t.status} in ('PENDING', 'QUEUED'))`),
    check('tasks_failed', sql`${t.status} <> 'FAILED' or ${t.error} is not null`),
    check('tasks_fraction', sql`${t.fraction} between 0 and 1`),
    check('tasks_whole', sql`(${t.fraction} = 1) = (${t.status} in ('READY', 'SKIPPED'))`),
    uniqueIndex('tasks_by_upload').on(t.uploadId).where(sql`${t.uploadId} is not null`),
    index('tasks_awaiting_upload').on(t.uploadId).where(sql`${t.waitingFor} = 'UPLOAD'`),
    uniqueIndex('tasks_by_ordinal').on(t.importId, t.ordinal),
    index('tasks_changed').on(t.importId, t.changedXid),
    index('tasks_changed_by_team').on(t.teamId, t.changedXid, t.id),
    index('tasks_counted').on(t.importId, t.status, t.ordinal),
    index('tasks_open').on(t.importId).where(sql`${t.finishedAt} is null`),
    index('tasks_by_created').on(t.teamId, t.createdAt, t.id),
    index('tasks_by_updated').on(t.teamId, t.updatedAt, t.id),
    // Teams as texts: see how lists are filtered.
    index('tasks_by_status').on(t.status, sql`(${t.teamId}::text)`, t.createdAt, t.id),
    index('tasks_by_status_updated').on(t.status, sql`(${t.teamId}::text)`, t.updatedAt, t.id),
    index('tasks_by_index_status').on(t.indexId, t.status, t.createdAt, t.id),
    index('tasks_by_index').on(t.indexId, t.createdAt, t.id),
    index('tasks_by_index_updated').on(t.indexId, t.updatedAt, t.id),
    // Names are cut to what every index entry can hold; whoever looks by them compares the whole, too.
    index('tasks_by_file_name').on(t.teamId, startOf(t.fileName), t.createdAt, t.id),
    index('tasks_by_external_id')
      .on(t.teamId, t.externalId.op('text_pattern_ops'), t.createdAt, t.id)
      .where(sql`${t.externalId} is not null`),
    index('tasks_by_video').on(t.videoId, t.createdAt, t.id),
    index('tasks_by_import').on(t.importId, t.createdAt, t.id),
    index('tasks_by_source')
      .on(t.integrationId, t.indexId, t.sourceKey, t.id)
      .where(sql`${t.integrationId} is not null`),
    index('tasks_by_integration').on(t.integrationId, t.createdAt, t.id),
    index('tasks_same_content').on(t.indexId, t.sha256).where(sql`${t.waitingFor} = 'SAME_CONTENT'`),
  ],
);

/**
 * What changes several times a second while a task runs: narrow, and not logged, because the next report brings it
 * again. The migration makes the table UNLOGGED with fillfactor 50. A finished task has no row here.
 */
export const taskProgress = snakeCase.table(
  'task_progress',
  {
    taskId: uuid().primaryKey(),
    importId: uuid(),
    teamId: uuid().notNull(),
    claim: bigint({ mode: 'bigint' }).notNull(),
    attempt: integer().notNull(),
    stage: text().$type<StageName>().notNull(),
    stageFraction: doublePrecision().notNull(),
    /** Of each stage that runs, where several do at once. */
    stageFractions: jsonb().$type<Readonly<Partial<Record<StageName, number>>>>(),
    fraction: doublePrecision().notNull(),
    bytesDone: byteCount().notNull(),
    bytesTotal: byteCount(),
    bytesPerSecond: byteCount(),
    etaSeconds: integer(),
    version: bigint({ mode: 'number' }).notNull().default(1),
    updatedAt: instant().notNull().default(databaseNow),
  },
  (t) => [index('task_progress_by_import').on(t.importId), index('task_progress_by_team').on(t.teamId)],
);
