import { sql } from 'drizzle-orm';
import { type AnyPgColumn, bigint, customType, timestamp, uuid } from 'drizzle-orm/pg-core';

/**
 * An instant with the precision of milliseconds: what a JavaScript Date holds, so that a cursor made of one
 * names exactly the row it came from. With microseconds, paging would skip rows.
 */
export const instant = () => timestamp({ withTimezone: true, precision: 3, mode: 'date' });

/** The id of a row, made by the application. */
export const id = () => uuid().primaryKey();

/** A 64-bit transaction id as text; compared by Postgres only. */
export const xid8 = customType<{ data: string; driverData: string }>({ dataType: () => 'xid8' });

/** The database's clock, cut to milliseconds: rounded up, as an assignment does, an instant could lie ahead of a later one. */
export const databaseNow = sql`date_trunc('milliseconds', now())`;

/** When the row was made; in milliseconds like every other instant. */
export const createdAt = () => instant().notNull().default(databaseNow);

/** Bytes are counted in numbers: 2^53 - 1 of them are enough. */
export const byteCount = () => bigint({ mode: 'number' });

/** The part of a text that an index holds, which takes 2,704 bytes an entry; beginnings can be looked up in it, too. */
export const startOf = (column: AnyPgColumn) => sql`left(${column}, 255) text_pattern_ops`;
