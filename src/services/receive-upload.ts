import { eq, sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { type StoredStage, tasks } from '../db/tables/tasks.ts';
import { databaseNow } from '../db/tables/types.ts';
import { transaction } from '../db/transaction.ts';
import { deleteObjects, transferVideo } from '../jobs/definitions.ts';
import { enqueue } from '../jobs/queue.ts';
import type { Services } from './deps.ts';
import { discardUploads, lockOpenTask, moveTask, type TaskRow } from './end-task.ts';
import { UploadRefusedError } from './errors.ts';
import { overallFraction, RECEIVED_SHARE, waitingStages } from './stages.ts';
import { readUploads, type UploadState, uploadPrefix } from './upload-rows.ts';

const received = (stages: readonly StoredStage[]) => overallFraction(stages, 'UPLOAD', RECEIVED_SHARE);
const PLAIN = waitingStages();
/** The fraction of a task whose upload is complete: less where products are made of it afterwards. */
const receivedFraction = sql`(case when jsonb_array_length(t.stages) > ${PLAIN.length}
  then ${received(waitingStages(['STREAM']))}::float8 else ${received(PLAIN)}::float8 end)`;

type Parts = Pick<Services, 'db' | 'jobs' | 'changes'>;

/** Tells the tasks that wait for uploads how far these are; in bytes. Watchers are told after that. */
export async function reportReceived(
  { db, changes }: Pick<Services, 'db' | 'changes'>,
  figures: readonly { readonly id: string; readonly received: number }[],
): Promise<void> {
  if (figures.length === 0) return;
  const { rows } = await db.execute<{ team_id: string; import_id: string | null }>(sql`
    update tasks t set bytes_done = r.received, bytes_total = u.length,
           fraction = greatest(t.fraction, ${receivedFraction} * r.received / greatest(u.length, 1)),
           stages = jsonb_set(t.stages, '{0}', t.stages -> 0 || jsonb_build_object('state', 'RUNNING',
             'fraction', ${RECEIVED_SHARE}::float8 * r.received / greatest(u.length, 1),
             'startedAt', coalesce(t.stages -> 0 ->> 'startedAt', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))),
           progressed_at = ${databaseNow}
      from jsonb_to_recordset(${JSON.stringify(figures)}::jsonb) as r(id uuid, received bigint)
      join uploads u on u.id = r.id
     where t.upload_id = r.id and t.status = 'PENDING' and t.waiting_for = 'UPLOAD' and t.bytes_done < r.received
    returning t.team_id, t.import_id`);
  for (const { team_id: teamId, import_id: importId } of rows) changes.announce({ teamId, importId });
}

/** Notes that the last byte of an upload is stored, and lets the task begin that waits for it. May be called again. */
export async function completeUpload(parts: Parts, id: string): Promise<void> {
  await parts.db.execute(sql`
    update uploads set completed_at = ${databaseNow}, received = length
     where id = ${id} and completed_at is null and removed_at is null`);
  await wakeTaskOf(parts, id);
}

/** Lets the task begin that waits for a complete upload, if there is one. Whoever makes such a task later sees that it is complete. */
export async function wakeTaskOf({ db, jobs, changes }: Parts, uploadId: string): Promise<void> {
  const woken = await transaction(db, async (tx) => {
    const task = await lockWaiting(tx, uploadId);
    if (task === null) return null;
    const [upload] = await readUploads(tx, [uploadId]);
    if (upload === undefined || !upload.isComplete) return null;
    await moveTask(tx, task, {
      waitingFor: 'WORKER',
      bytesDone: upload.length,
      bytesTotal: upload.length,
      fraction: overallFraction(task.stages, 'UPLOAD', RECEIVED_SHARE),
    });
    await enqueue(tx, transferVideo, { subjectId: task.id, teamId: task.teamId, payload: {} });
    return task;
  });
  if (woken === null) return;
  jobs.wake(transferVideo.kind);
  changes.announce(woken);
}

/** Locks the task that waits for an upload; null when there is none. */
export async function lockWaiting(tx: Transaction, uploadId: string): Promise<TaskRow | null> {
  const [found] = await tx.select({ id: tasks.id }).from(tasks).where(eq(tasks.uploadId, uploadId));
  const task = found ? await lockOpenTask(tx, found.id) : null;
  return task?.status === 'PENDING' && task.waitingFor === 'UPLOAD' ? task : null;
}

/** Gives up a locked upload: its bytes are deleted, once, also where a task that failed or was canceled has moved them to. */
export async function giveUp(tx: Transaction, upload: Pick<UploadState, 'id' | 'teamId'>): Promise<void> {
  const { rowCount } = await tx.execute(sql`
    update uploads set removed_at = ${databaseNow} where id = ${upload.id} and removed_at is null`);
  if (rowCount === 0) return;
  await discardUploads(tx, sql`t.upload_id = ${upload.id}`);
  await enqueue(tx, deleteObjects, {
    subjectId: uuidv7(),
    teamId: upload.teamId,
    payload: { prefix: uploadPrefix(upload.id), keep: null, lastClaim: null },
  });
}

/**
 * Gives up an upload that nothing uses, because its client wants that.
 * @throws {UploadRefusedError} CONFLICT when a task or an import uses it
 */
export async function deleteUpload({ db, jobs }: Pick<Services, 'db' | 'jobs'>, id: string): Promise<void> {
  await transaction(db, async (tx) => {
    const [upload] = await readUploads(tx, [id], { lock: true });
    if (upload === undefined || upload.isGone) return;
    if (upload.isUsed)
      throw new UploadRefusedError('CONFLICT', 'A task uses this upload: cancel the task instead.');
    await giveUp(tx, upload);
  });
  jobs.wake(deleteObjects.kind);
}
