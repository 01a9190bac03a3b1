import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import { databaseNow } from '../db/tables/types.ts';
import type { Changes } from '../events/changes.ts';

/**
 * Ends an import whose planning is over and whose tasks have all ended, once: sets its state and keeps its counts.
 *
 * To be called after the commit of any transaction that ended a task or the planning, in a transaction of its own:
 * two tasks that end at once, each looking within its own transaction, would both see the other as open.
 */
const finishStatement = (importId: string) => sql`
  with ready as materialized (
    select id, team_id, found from imports
     where id = ${importId} and state = 'STARTED'
       and not exists (select from tasks where import_id = ${importId} and finished_at is null)
       for update
  ), counted as (
    select count(*) filter (where status = 'READY')::int as ready,
           count(*) filter (where status = 'SKIPPED')::int as skipped,
           count(*) filter (where status = 'FAILED')::int as failed,
           count(*) filter (where status = 'CANCELED')::int as canceled,
           coalesce(sum(bytes_done), 0)::bigint as bytes_done,
           coalesce(sum(coalesce(bytes_total, bytes_done)), 0)::bigint as bytes_total
      from tasks where import_id in (select id from ready)
  ), refused as (
    select count(*)::int as rejected from failed_files where import_id in (select id from ready)
  )
  update imports i set
    state = case when c.ready + c.skipped > 0 or i.found = 0 then 'SUCCEEDED' else 'FAILED' end,
    error_code = case when c.ready + c.skipped > 0 or i.found = 0 then null else 'NOTHING_CAME_IN' end,
    error_message = case when c.ready + c.skipped > 0 or i.found = 0 then null
      else 'None of the ' || i.found || ' videos came in: ' || r.rejected || ' were rejected and ' || c.failed || ' failed. Each says why.' end,
    has_failures = c.failed + r.rejected > 0,
    counts = jsonb_build_object('rejected', r.rejected, 'uploading', 0, 'validating', 0, 'pending', 0, 'queued', 0,
      'indexing', 0, 'ready', c.ready, 'skipped', c.skipped, 'failed', c.failed, 'canceled', c.canceled,
      'bytesDone', c.bytes_done, 'bytesTotal', c.bytes_total),
    finished_at = ${databaseNow}, updated_at = ${databaseNow}
  from ready, counted c, refused r
  where i.id = ready.id
  returning i.team_id`;

/** Ends the import if nothing of it is open any more, and tells of it. Safe to call at any time, from anywhere, any number of times. */
export async function finishImport(
  deps: { readonly db: Database; readonly changes: Changes },
  importId: string,
): Promise<void> {
  const { rows } = await deps.db.execute<{ team_id: string }>(finishStatement(importId));
  for (const row of rows) deps.changes.announce({ teamId: row.team_id, importId });
}

/** Ends every import that should have ended: what a process left behind that died between its commit and its call of finishImport. */
export async function finishImports(deps: {
  readonly db: Database;
  readonly changes: Changes;
}): Promise<void> {
  const { rows } = await deps.db.execute<{ id: string }>(sql`
    select i.id from imports i
     where i.finished_at is null and i.state = 'STARTED'
       and not exists (select from tasks t where t.import_id = i.id and t.finished_at is null)`);
  for (const row of rows) await finishImport(deps, row.id);
}
