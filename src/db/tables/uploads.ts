import { sql } from 'drizzle-orm';
import { boolean, check, index, jsonb, snakeCase, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core';
import { indexes } from './indexes.ts';
import { apiKeys, teams } from './teams.ts';
import { byteCount, createdAt, id, instant } from './types.ts';

/** What a client says of an upload, by the keys of its Upload-Metadata; null: the key alone. */
export type UploadMetadata = Readonly<Record<string, string | null>>;

/** Tokens that may bring in one upload each, known by the SHA-256 of the whole like keys. */
export const uploadTokens = snakeCase.table(
  'upload_tokens',
  {
    id: id(),
    hash: text().notNull().unique(),
    teamId: uuid()
      .notNull()
      .references(() => teams.id),
    /** The key that made it, with which it ends. */
    keyId: uuid()
      .notNull()
      .references(() => apiKeys.id, { onDelete: 'cascade' }),
    /** The index that its video is for. */
    indexId: uuid()
      .notNull()
      .references(() => indexes.id, { onDelete: 'cascade' }),
    /** In bytes. */
    maxBytes: byteCount().notNull(),
    createdAt: createdAt(),
    expiresAt: instant().notNull(),
  },
  (t) => [index('upload_tokens_expiry').on(t.expiresAt)],
);

/**
 * Files that clients send. How far one has come is told by the bytes that are stored of it; `received` is what was last
 * seen of that.
 */
export const uploads = snakeCase.table(
  'uploads',
  {
    // Random in all its bits, unlike other ids: who knows it may ask how far it is.
    id: id(),
    teamId: uuid()
      .notNull()
      .references(() => teams.id),
    /** The token that it was begun with; null for a key. No foreign key: it is remembered for as long as the upload. */
    tokenId: uuid(),
    /** In bytes, as declared when it was begun. */
    length: byteCount().notNull(),
    received: byteCount().notNull().default(0),
    metadata: jsonb().$type<UploadMetadata>(),
    createdAt: createdAt(),
    /** Until when it has to be complete, and be used. */
    expiresAt: instant().notNull(),
    completedAt: instant(),
    /** When a task, or an entry of an import, was made of it: once. */
    usedAt: instant(),
    /** The import that uses it; null for a task without one. No foreign key: an import may be deleted. */
    importId: uuid(),
    /** When its bytes were given up. */
    removedAt: instant(),
    /** Who writes to it, or did when it died, and until when that counts; a request asks for the end of it. */
    lockedBy: uuid(),
    lockedUntil: instant(),
    releaseAsked: boolean().notNull().default(false),
  },
  (t) => [
    check('uploads_length', sql`${t.length} >= 0 and ${t.received} between 0 and ${t.length}`),
    check('uploads_locked', sql`(${t.lockedBy} is null) = (${t.lockedUntil} is null)`),
    uniqueIndex('uploads_one_a_token').on(t.tokenId).where(sql`${t.tokenId} is not null`),
    index('uploads_unfinished').on(t.teamId).where(sql`${t.completedAt} is null and ${t.removedAt} is null`),
    index('uploads_kept').on(t.expiresAt).where(sql`${t.removedAt} is null`),
    index('uploads_removed').on(t.removedAt).where(sql`${t.removedAt} is not null`),
  ],
);
