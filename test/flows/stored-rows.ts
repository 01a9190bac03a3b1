import type { Rows } from '../support/rows.ts';
import { waitFor } from '../support/wait.ts';

// The jobs that a server always has plan their own next run.
const rowsOf = (table: string) =>
  table === 'jobs' ? `jobs where kind not in ('sweep-storage', 'remove-expired')` : `"${table}"`;

// What is noted of calls, and of use, which is added up later.
const NOTES = `'rate_limits', 'team_usage', 'team_usage_changes'`;

/** How many rows each table of a database has, but for the jobs that a server always has and for notes of what it did. */
export async function countAllRows(rows: Rows): Promise<Record<string, number>> {
  const tables = await rows.all<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = 'public' and table_name not in (${NOTES}) order by 1`,
  );
  const counts = tables.map(({ name }) => `(select count(*)::int from ${rowsOf(name)}) as "${name}"`);
  return await rows.one(`select ${counts.join(', ')}`);
}

/**
 * Waits until no job runs and none is due, nor will be before rows can be counted again: an import is told finished shortly
 * before the last of its jobs is gone, and bytes of earlier ones are deleted when their time has come.
 */
async function untilAtRest(rows: Rows): Promise<void> {
  const busy = `select from jobs where owner is not null or run_at <= clock_timestamp() + interval '10 seconds' limit 1`;
  await waitFor(async () => (await rows.all(busy)).length === 0, { what: 'the end of all jobs' });
}

/** The same as countAllRows, once nothing changes them by itself. */
export async function countRowsAtRest(rows: Rows): Promise<Record<string, number>> {
  await untilAtRest(rows);
  return await countAllRows(rows);
}
