import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';

/** Where a subscriber of an import stands. */
export interface Position {
  /** Every change by a transaction before this one has been told (pg_snapshot_xmin, decimal). */
  readonly xmin: string;
  /** During a snapshot: the last ordinal that it told, -1 before the first. Null when the snapshot is over. */
  readonly ordinal: number | null;
}

/** Writes positions as opaque cursors, bound to one database and one import, and reads them. */
export interface Cursors {
  encode(importId: string, position: Position): string;
  /** Null for what is no cursor, or one of another database or import. */
  decode(importId: string, cursor: string): Position | null;
}

const DECIMAL = /^\d{1,20}$/;

/** Makes the cursors of a database: its system identifier is part of each, since transaction ids mean nothing elsewhere. */
export async function createCursors(db: Database): Promise<Cursors> {
  const { rows } = await db.execute<{ id: string }>(
    sql`select system_identifier::text as id from pg_control_system()`,
  );
  const system = rows[0]?.id ?? '';
  return {
    encode: (importId, { xmin, ordinal }) =>
      Buffer.from(JSON.stringify([system, importId, xmin, ordinal])).toString('base64url'),
    decode(importId, cursor) {
      const parts = parse(cursor);
      if (parts === null || parts[0] !== system || parts[1] !== importId) return null;
      const [, , xmin, ordinal] = parts;
      return isTransaction(xmin) && (ordinal === null || isOrdinal(ordinal)) ? { xmin, ordinal } : null;
    },
  };
}

const isTransaction = (value: unknown): value is string =>
  typeof value === 'string' && DECIMAL.test(value) && BigInt(value) < 2n ** 64n;

const isOrdinal = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= -1 && value < 2 ** 31;

function parse(cursor: string): readonly unknown[] | null {
  if (cursor.length > 400) return null;
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    return Array.isArray(value) && value.length === 4 ? value : null;
  } catch {
    return null;
  }
}
