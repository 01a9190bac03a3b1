import { sql } from 'drizzle-orm';
import { boolean, index, integer, jsonb, snakeCase, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core';
import { ANALYZERS, PICTURE_FORMATS } from './products.ts';
import { teams } from './teams.ts';
import { createdAt, databaseNow, id, instant } from './types.ts';

/** The rules that an index sets for itself: what is left out, the server's rules decide. */
export interface StoredRequirements {
  readonly minWidth?: number;
  readonly minHeight?: number;
  readonly maxWidth?: number;
  readonly maxHeight?: number;
  readonly minAspectRatio?: number;
  readonly maxAspectRatio?: number;
  readonly minDuration?: number;
  readonly maxDuration?: number;
  readonly maxSize?: number;
}

/** Where videos are imported to. */
export const indexes = snakeCase.table(
  'indexes',
  {
    id: id(),
    teamId: uuid()
      .notNull()
      .references(() => teams.id),
    name: text().notNull(),
    isDefault: boolean().notNull().default(false),
    requirements: jsonb().$type<StoredRequirements>().notNull().default({}),
    /** What runs on a video that comes in with full ingestion. */
    analyzers: text({ enum: ANALYZERS })
      .array()
      .notNull()
      .default([...ANALYZERS]),
    /** How pictures are kept; null: as the server is set. */
    pictureFormat: text({ enum: PICTURE_FORMATS }),
    /** Short sides of further renditions of HLS, in pixels; null: as the server is set. */
    ladder: integer().array(),
    createdAt: createdAt(),
    updatedAt: instant().notNull().default(databaseNow),
  },
  (t) => [
    uniqueIndex('indexes_one_default').on(t.teamId).where(sql`${t.isDefault}`),
    index('indexes_by_team').on(t.teamId, t.createdAt, t.id),
  ],
);
