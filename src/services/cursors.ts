import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';

/** Where a subscriber stands. */
export interface Position {
  /** Every change by a transaction before this one has been told (pg_snapshot_xmin, decimal). */
  readonly xmin: string;
  /** During a snapshot: the last ordinal that it told, -1 before the first. Null when the snapshot is over. */
  readonly ordinal: number | null;
}

/** Writes positions as opaque cursors, bound to one database and to what is followed (an import, a team's tasks), and reads them. */
export interface Cursors {
  /** @param subject the id of an import, or `teamTasks` of a team's */
  encode(subject: string, position: Position): string;
  /** Null for what is no cursor, or one of another database or subject. */
  decode(subject: string, cursor: string): Position | null;
}

/** What cursors of all tasks of a team are bound to. */
export const teamTasks = (teamId: string): string => `tasks of ${teamId}`;

const DECIMAL = /^\d{1,20}$/;

/** Makes the cursors of a database: its system identifier is part of each, since transaction ids mean nothing elsewhere. */
export async function createCursors(db: Database): Promise<Cursors> {
  const { rows } = await db.execute<{ id: string }>(
    sql`select system_identifier::text as id from pg_control_system()`,
  );
  const system = rows[0]?.id ?? '';
  return {
    encode: (subject, { xmin, ordinal }) =>
      Buffer.from(JSON.stringify([system, subject, xmin, ordinal])).toString('base64url'),
    decode(subject, cursor) {
      const parts = parse(cursor);
      if (parts === null || parts[0] !== system || parts[1] !== subject) return null;
      const [, , xmin, ordinal] = parts;
      return isTransaction(xmin) && (ordinal === null || isOrdinal(ordinal)) ? { xmin, ordinal } : null;
    },
  };
}

const isTransaction = (value: unknown): value is string =>
  typeof value === 'string' && DECIMAL.test(value) && BigInt(value) > 0n && BigInt(value) < 2n ** 64n;

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
