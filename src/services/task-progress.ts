import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import type { Hub } from '../events/hub.ts';
import { createBell } from './bell.ts';
import { whenConnected } from './when-connected.ts';

/**
 * One task: where it stands, each change, its end. Yields the task's row id whenever there is something new; the state is read when
 * it is sent. Ends when the task has finished or is gone.
 */
export async function* taskProgress(
  { db, hub }: { readonly db: Database; readonly hub: Hub },
  {
    task,
    signal,
  }: {
    readonly task: { readonly id: string; readonly teamId: string; readonly importId: string | null };
    readonly signal: AbortSignal;
  },
): AsyncGenerator<string> {
  const bell = createBell(signal);
  const { id: taskId, teamId, importId } = task;
  const unsubscribe =
    importId === null ? hub.onLooseTasks(teamId, bell.ring) : hub.onImport(importId, bell.ring);
  try {
    for (let told: string | null = null; ; ) {
      bell.clear();
      const read = () =>
        db.execute<{ version: string; finished: boolean }>(sql`
        select t.version || ' ' || coalesce(p.claim, 0) || ' ' || coalesce(p.version, 0) as version, t.finished_at is not null as finished
          from tasks t left join task_progress p on p.task_id = t.id where t.id = ${taskId}`);
      const { rows } = await whenConnected(read, signal);
      const [row] = rows;
      if (!row) return;
      if (row.version !== told) yield taskId;
      if (row.finished) return;
      told = row.version;
      await bell.wait();
    }
  } finally {
    unsubscribe();
  }
}
