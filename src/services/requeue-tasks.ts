import { sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { databaseNow } from '../db/tables/types.ts';
import { transferVideo } from '../jobs/definitions.ts';
import { enqueueMany } from '../jobs/queue.ts';
import type { TaskRow } from './end-task.ts';
import { waitingStages } from './stages.ts';
import { isIncomplete } from './upload-rows.ts';

/** What is tried again comes after what was never tried. */
const PRIORITY = 10;

/**
 * Queues locked tasks again that had ended: the same tasks, from the beginning, with a transfer job each. Attempts go on
 * counting; what an earlier attempt stored is not gone on from, but how far it came is told until the next one begins.
 */
export async function requeueTasks(tx: Transaction, tasks: readonly TaskRow[]): Promise<void> {
  if (tasks.length === 0) return;
  await reservePairs(tx, tasks);
  const { rows: queued } = await tx.execute<{ id: string; team_id: string; waiting_for: string }>(sql`
    update tasks t set status = 'PENDING', outcome = null, reason = null, error = null,
           waiting_for = case when ${isIncomplete(sql`t.upload_id`)} then 'UPLOAD' else 'WORKER' end,
           next_attempt_at = null, finished_at = null, partial = null, storage_key = null,
           sha256 = null, made_video = null, stages = ${JSON.stringify(waitingStages())}::jsonb,
           video_id = coalesce((select k.video_id from video_keys k
             where k.index_id = t.index_id and k.system_name = t.system_name and k.external_id = t.external_id), t.video_id),
           updated_at = ${databaseNow}, progressed_at = ${databaseNow}
     where t.id = any(${sql.param(tasks.map(({ id }) => id))}::uuid[])
    returning t.id, t.team_id, t.waiting_for`);
  // One whose upload is not complete begins when that is.
  const begin = queued.filter((row) => row.waiting_for === 'WORKER');
  await enqueueMany(
    tx,
    transferVideo,
    begin.map(({ id, team_id: teamId }) => ({ subjectId: id, teamId, payload: {}, priority: PRIORITY })),
  );
}

/** A pair whose video was deleted meanwhile gets its id again. */
async function reservePairs(tx: Transaction, tasks: readonly TaskRow[]): Promise<void> {
  const pairs = tasks.flatMap(({ indexId, systemName, externalId, videoId }) =>
    systemName === null ? [] : [{ indexId, systemName, externalId, videoId }],
  );
  if (pairs.length === 0) return;
  await tx.execute(sql`
    insert into video_keys (index_id, system_name, external_id, video_id)
    select "indexId", "systemName", "externalId", "videoId"
      from jsonb_to_recordset(${JSON.stringify(pairs)}::jsonb)
        as r("indexId" uuid, "systemName" text, "externalId" text, "videoId" uuid)
     order by 1, 2, 3
    on conflict do nothing`);
}
