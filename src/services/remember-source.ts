import { sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import type { TaskRow } from './end-task.ts';

/** Keeps what the task's source held: the same version again needs no transfer. */
export async function rememberSource(tx: Transaction, task: TaskRow, videoId: string): Promise<void> {
  if (task.sourceHash === null || task.sourceVersion === null || task.sha256 === null) return;
  await tx.execute(sql`
    insert into source_versions (index_id, source, version, sha256, video_id)
    values (${task.indexId}, ${task.sourceHash}, ${task.sourceVersion}, ${task.sha256}, ${videoId})
    on conflict (index_id, source) do update set version = excluded.version, sha256 = excluded.sha256, video_id = excluded.video_id`);
}
