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
  uuid,
} from 'drizzle-orm/pg-core';
import { indexes } from './indexes.ts';
import { teams } from './teams.ts';
import { createdAt, databaseNow, id, instant, xid8 } from './types.ts';

export type MetadataValue = string | number | boolean;
export type Metadata = Readonly<Record<string, MetadataValue>>;

export const IMPORT_STATES = ['PLANNING', 'STARTED', 'SUCCEEDED', 'FAILED', 'CANCELED'] as const;
export type ImportState = (typeof IMPORT_STATES)[number];

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

/** One call of startImport. */
export const imports = snakeCase.table(
  'imports',
  {
    id: id(),
    teamId: uuid()
      .notNull()
      .references(() => teams.id),
    indexId: uuid().references(() => indexes.id, { onDelete: 'set null' }),
    systemName: text(),
    incremental: boolean().notNull(),
    metadata: jsonb().$type<Metadata>(),
    state: text({ enum: IMPORT_STATES }).notNull().default('PLANNING'),
    runs: integer().notNull().default(1),
    found: integer().notNull().default(0),
    counts: jsonb().$type<StoredCounts>(),
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
    check(
      'imports_finished',
      sql`(${t.finishedAt} is not null) = (${t.state} in ('SUCCEEDED', 'FAILED', 'CANCELED'))`,
    ),
    check('imports_counted', sql`${t.finishedAt} is null or ${t.counts} is not null`),
    check('imports_planned', sql`${t.state} <> 'STARTED' or ${t.startedAt} is not null`),
    index('imports_by_created').on(t.teamId, t.createdAt, t.id),
    index('imports_by_updated').on(t.teamId, t.updatedAt, t.id),
    index('imports_by_state').on(t.teamId, t.state, t.createdAt, t.id),
    index('imports_by_index').on(t.indexId, t.createdAt, t.id),
    index('imports_open').on(t.id).where(sql`${t.finishedAt} is null`),
  ],
);

/** What was asked for, one entry of `from.videos` each. */
export interface StoredVideoInput {
  readonly externalId: string;
  readonly url: string;
  readonly fileName: string;
  readonly name?: string;
  readonly description?: string;
  readonly metadata?: Metadata;
  readonly sha256?: string;
}

/** Every entry asked for, in order; `verdict` is null until planning has judged it. */
export const importEntries = snakeCase.table(
  'import_entries',
  {
    importId: uuid()
      .notNull()
      .references(() => imports.id, { onDelete: 'cascade' }),
    ordinal: integer().notNull(),
    input: jsonb().$type<StoredVideoInput>().notNull(),
    verdict: text({ enum: ['TASK', 'REJECTED'] }),
  },
  (t) => [
    primaryKey({ columns: [t.importId, t.ordinal] }),
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
    importId: uuid()
      .notNull()
      .references(() => imports.id, { onDelete: 'cascade' }),
    ordinal: integer().notNull(),
    fileName: text().notNull(),
    name: text().notNull(),
    externalId: text(),
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

/** What a key of startImport was used for. */
export const idempotencyKeys = snakeCase.table(
  'idempotency_keys',
  {
    teamId: uuid()
      .notNull()
      .references(() => teams.id),
    key: text().notNull(),
    inputHash: text().notNull(),
    importId: uuid()
      .notNull()
      .references(() => imports.id, { onDelete: 'cascade' }),
    createdAt: createdAt(),
  },
  (t) => [primaryKey({ columns: [t.teamId, t.key] }), index('idempotency_keys_import').on(t.importId)],
);
