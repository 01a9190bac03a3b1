import { sql } from 'drizzle-orm';
import { check, index, jsonb, snakeCase, text, uuid } from 'drizzle-orm/pg-core';
import { teams } from './teams.ts';
import { createdAt, databaseNow, id, instant } from './types.ts';

export const INTEGRATION_KINDS = ['S3', 'FOLDER'] as const;
export type IntegrationKind = (typeof INTEGRATION_KINDS)[number];

/** Where an S3 integration points: without `endpoint` at AWS. */
export interface StoredS3Location {
  readonly bucket: string;
  /** Of the keys that belong to it. */
  readonly prefix?: string;
  readonly region?: string;
  readonly endpoint?: string;
  readonly forcePathStyle: boolean;
}

/** Where a folder integration points: an absolute path, resolved when it was set up. */
export interface StoredFolderLocation {
  readonly path: string;
}

/** A source set up once, and imported from by its id. */
export const integrations = snakeCase.table(
  'integrations',
  {
    id: id(),
    teamId: uuid()
      .notNull()
      .references(() => teams.id),
    name: text().notNull(),
    kind: text({ enum: INTEGRATION_KINDS }).notNull(),
    /** The one of its kind; the other is null. */
    s3: jsonb().$type<StoredS3Location>(),
    folder: jsonb().$type<StoredFolderLocation>(),
    /** Encrypted; null when it has none. */
    credentials: text(),
    /** The last 3 characters of the access key's id, for people. */
    accessKeyHint: text(),
    createdAt: createdAt(),
    updatedAt: instant().notNull().default(databaseNow),
  },
  (t) => [
    check('integrations_kind', sql`${t.kind} in ('S3', 'FOLDER')`),
    check('integrations_s3', sql`(${t.s3} is not null) = (${t.kind} = 'S3')`),
    check('integrations_folder', sql`(${t.folder} is not null) = (${t.kind} = 'FOLDER')`),
    check('integrations_credentials', sql`${t.credentials} is null or ${t.kind} = 'S3'`),
    index('integrations_by_team').on(t.teamId, t.createdAt, t.id),
  ],
);
