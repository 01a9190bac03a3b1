import { sql } from 'drizzle-orm';
import {
  boolean,
  check,
  index,
  integer,
  jsonb,
  primaryKey,
  snakeCase,
  text,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core';
import { indexes } from './indexes.ts';
import { integrations } from './integrations.ts';
import type { StoredError } from './tasks.ts';
import { teams } from './teams.ts';
import { createdAt, databaseNow, id, instant, xid8 } from './types.ts';

export type MetadataValue = string | number | boolean;
export type Metadata = Readonly<Record<string, MetadataValue>>;

export const IMPORT_STATES = ['PLANNING', 'STARTED', 'SUCCEEDED', 'FAILED', 'CANCELED'] as const;
export type ImportState = (typeof IMPORT_STATES)[number];

/** Where an import's entries come from: named by URL, named as objects of an integration, or all that an integration lists. */
export const IMPORT_SOURCES = ['VIDEOS', 'OBJECTS', 'INTEGRATION'] as const;
export type ImportSource = (typeof IMPORT_SOURCES)[number];

/** How many of an import's entries stand where; kept in the row once the import has finished. */
export interface StoredCounts {
  readonly rejected: number;
  readonly uploading: number;
  readonly validating: number;
  readonly pending: number;
  readonly queued: number;
  readonly indexing: number;
  readonly ready: number;
  readonly skipped: number;
  readonly failed: number;
  readonly canceled: number;
  readonly bytesDone: number;
  readonly bytesTotal: number | null;
}

/** How many of an import's tasks were deleted one by one, by what they had ended as: they count on. */
export type DeletedCounts = Pick<StoredCounts, 'ready' | 'skipped' | 'failed' | 'canceled' | 'bytesDone'> & {
  readonly bytesTotal: number;
};

/** One call of startImport. */
export const imports = snakeCase.table(
  'imports',
  {
    id: id(),
    teamId: uuid()
      .notNull()
      .references(() => teams.id),
    indexId: uuid().references(() => indexes.id, { onDelete: 'set null' }),
    source: text({ enum: IMPORT_SOURCES }).notNull().default('VIDEOS'),
    integrationId: uuid().references(() => integrations.id, { onDelete: 'set null' }),
    /** Of the keys that an import from an integration lists; null: all. */
    prefix: text(),
    /** Where its listing goes on, as its source writes it; null: at the beginning. */
    listingPosition: text(),
    /** Whether all entries are there; false while a listing goes on. */
    listed: boolean().notNull().default(true),
    systemName: text(),
    incremental: boolean().notNull(),
    retryFailed: boolean().notNull().default(false),
    fullIngestion: boolean().notNull().default(false),
    enableVideoStream: boolean().notNull().default(false),
    metadata: jsonb().$type<Metadata>(),
    /** The client's own JSON: text, so that it comes back as it was. */
    context: text(),
    /** Where its ends are told; encrypted if it has a query or a fragment. */
    webhookUrl: text(),
    state: text({ enum: IMPORT_STATES }).notNull().default('PLANNING'),
    runs: integer().notNull().default(1),
    found: integer().notNull().default(0),
    counts: jsonb().$type<StoredCounts>(),
    deletedCounts: jsonb().$type<DeletedCounts>(),
    hasFailures: boolean().notNull().default(false),
    errorCode: text(),
    errorMessage: text(),
    createdAt: createdAt(),
    updatedAt: instant().notNull().default(databaseNow),
    startedAt: instant(),
    finishedAt: instant(),
    changedXid: xid8().notNull().default(sql`pg_current_xact_id()`),
  },
  (t) => [
    check('imports_state', sql`${t.state} in ('PLANNING', 'STARTED', 'SUCCEEDED', 'FAILED', 'CANCELED')`),
    // A canceled one is finished when its last task has ended.
    check(
      'imports_finished',
      sql`case ${t.state} when 'CANCELED' then true else (${t.finishedAt} is not null) = (${t.state} in ('SUCCEEDED', 'FAILED')) end`,
    ),
    check('imports_counted', sql`${t.finishedAt} is null or ${t.counts} is not null`),
    check('imports_planned', sql`${t.state} <> 'STARTED' or ${t.startedAt} is not null`),
    index('imports_by_created').on(t.teamId, t.createdAt, t.id),
    index('imports_by_updated').on(t.teamId, t.updatedAt, t.id),
    index('imports_by_state').on(t.teamId, t.state, t.createdAt, t.id),
    index('imports_by_index').on(t.indexId, t.createdAt, t.id),
    index('imports_open').on(t.id).where(sql`${t.finishedAt} is null`),
    index('imports_by_integration').on(t.integrationId, t.createdAt, t.id),
    check('imports_source', sql`${t.source} in ('VIDEOS', 'OBJECTS', 'INTEGRATION')`),
    check('imports_system', sql`(${t.systemName} is not null) = (${t.source} = 'VIDEOS')`),
    uniqueIndex('imports_one_running')
      .on(t.integrationId)
      .where(sql`${t.source} = 'INTEGRATION' and ${t.finishedAt} is null`),
  ],
);

/** One entry of `from.videos`. */
export interface StoredVideoInput {
  readonly externalId: string;
  /** Where it is; an upload has none. */
  readonly url?: string;
  /** The upload's row id. */
  readonly uploadId?: string;
  /** In bytes, of an upload. */
  readonly size?: number;
  readonly fileName: string;
  readonly name?: string;
  readonly description?: string;
  readonly metadata?: Metadata;
  readonly sha256?: string;
}

/** One object of an integration: named in `from.objects`, or listed. */
export interface StoredObjectInput {
  readonly key: string;
  readonly fileName: string;
  readonly name?: string;
  readonly description?: string;
  readonly metadata?: Metadata;
  /** In bytes, of a listed object. */
  readonly size?: number;
  /** The version that was listed; what a download of it tells. */
  readonly version?: string;
  /** Why it cannot come in, when its listing has told that. */
  readonly refusal?: StoredError;
}

export type StoredInput = StoredVideoInput | StoredObjectInput;

/** Every entry asked for, in order; `verdict` is null until planning has judged it. */
export const importEntries = snakeCase.table(
  'import_entries',
  {
    // No foreign key, as in tasks.
    importId: uuid().notNull(),
    ordinal: integer().notNull(),
    input: jsonb().$type<StoredInput>().notNull(),
    /** The key of a listed object: each comes once, whatever a listing says twice. */
    listedKey: text(),
    verdict: text({ enum: ['TASK', 'REJECTED'] }),
  },
  (t) => [
    primaryKey({ columns: [t.importId, t.ordinal] }),
    uniqueIndex('import_entries_listed').on(t.importId, t.listedKey).where(sql`${t.listedKey} is not null`),
    check('import_entries_verdict', sql`${t.verdict} in ('TASK', 'REJECTED')`),
    index('import_entries_undecided').on(t.importId, t.ordinal).where(sql`${t.verdict} is null`),
  ],
);

/** A file that planning found unfit for good. */
export const failedFiles = snakeCase.table(
  'failed_files',
  {
    id: id(),
    teamId: uuid()
      .notNull()
      .references(() => teams.id),
    // No foreign key, as in tasks.
    importId: uuid().notNull(),
    ordinal: integer().notNull(),
    fileName: text().notNull(),
    name: text().notNull(),
    externalId: text(),
    sourceKey: text(),
    errorCode: text().notNull(),
    errorMessage: text().notNull(),
    errorRetryable: boolean().notNull(),
    errorMeasured: text(),
    errorRequired: text(),
    createdAt: createdAt(),
    changedXid: xid8().notNull().default(sql`pg_current_xact_id()`),
  },
  (t) => [
    index('failed_files_by_ordinal').on(t.importId, t.ordinal, t.id),
    index('failed_files_changed').on(t.importId, t.changedXid),
  ],
);
