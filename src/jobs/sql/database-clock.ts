import { sql } from 'drizzle-orm';
import type { Transaction } from '../../db/client.ts';

/** The time at which this transaction began plus `seconds`, by the database's clock: the only one for due times. */
export async function timeIn(tx: Transaction, seconds: number): Promise<Date> {
  const result = await tx.execute<{ ms: number }>(
    sql`select (extract(epoch from now()) * 1000)::float8 as ms`,
  );
  const [row] = result.rows;
  if (row === undefined) throw new Error('the database did not tell the time');
  return new Date(row.ms + seconds * 1000);
}
