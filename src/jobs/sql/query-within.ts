import type { Pool, QueryConfig, QueryResultRow } from 'pg';

interface TimedQuery {
  readonly text: string;
  readonly values: unknown[];
  readonly timeoutMs: number;
}

/**
 * Runs one statement on a connection of the pool and gives its rows. Without an answer after `timeoutMs` it rejects
 * and the connection is closed: one that went silent without a word must not hold up leases.
 */
export async function queryWithin<Row extends QueryResultRow>(
  pool: Pool,
  { text, values, timeoutMs }: TimedQuery,
): Promise<Row[]> {
  // pg reads query_timeout from each query (pg/lib/client.js), its types know it for a whole client only.
  const config: QueryConfig & { query_timeout: number } = { text, values, query_timeout: timeoutMs };
  const { rows } = await pool.query<Row>(config);
  return rows;
}
