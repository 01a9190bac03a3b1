import type { Rows } from '../support/rows.ts';

// The jobs that a server always has plan their own next run.
const rowsOf = (table: string) =>
  table === 'jobs' ? `jobs where kind not in ('sweep-storage', 'remove-expired')` : `"${table}"`;

/** How many rows each table of a database has, but for the jobs that a server always has and for what is noted of calls. */
export async function countAllRows(rows: Rows): Promise<Record<string, number>> {
  const tables = await rows.all<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = 'public' and table_name <> 'rate_limits' order by 1`,
  );
  const counts = tables.map(({ name }) => `(select count(*)::int from ${rowsOf(name)}) as "${name}"`);
  return await rows.one(`select ${counts.join(', ')}`);
}
