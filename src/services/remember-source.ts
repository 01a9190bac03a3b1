import { type SQL, sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import type { TaskRow } from './end-task.ts';

/**
 * Keeps what the task's source held: the same version again needs no transfer.
 * @param change another change, that is made in the same statement; made alone where there is nothing to keep
 */
export async function rememberSource(
  tx: Transaction,
  task: TaskRow,
  { videoId, change }: { readonly videoId: string; readonly change?: SQL },
): Promise<void> {
  if (task.sourceHash === null || task.sourceVersion === null || task.sha256 === null) {
    if (change) await tx.execute(change);
    return;
  }
  await tx.execute(sql`
    ${change ? sql`with changed as (${change})` : sql``}
    insert into source_versions (index_id, source, version, sha256, video_id)
    values (${task.indexId}, ${task.sourceHash}, ${task.sourceVersion}, ${task.sha256}, ${videoId})
    on conflict (index_id, source) do update set version = excluded.version, sha256 = excluded.sha256, video_id = excluded.video_id`);
}
