import { sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { taskProgress } from '../db/tables/tasks.ts';
import { databaseNow } from '../db/tables/types.ts';
import { indexVideo, processVideo, transferVideo } from '../jobs/definitions.ts';
import { removeJobs } from '../jobs/queue.ts';
import { discardTaskObjects, figuresOf, type TaskRow } from './end-task.ts';
import { discardWork, withdraw } from './index-task.ts';
import { closeStages, productsOf } from './stages.ts';

/** Why a task ended that was canceled, for people. */
export const CANCELED_REASON = 'It was canceled.';

type ProgressRow = typeof taskProgress.$inferSelect;

/**
 * Ends locked, unfinished tasks as CANCELED, in a handful of statements however many they are. Whoever runs their jobs
 * loses the claims; a video that one of them has made goes again with its bytes, an update stays as it is.
 * @param tasks locked in the order of their ids
 */
export async function cancelTasks(tx: Transaction, tasks: readonly TaskRow[]): Promise<void> {
  if (tasks.length === 0) return;
  const ids = tasks.map(({ id }) => id);
  await removeJobs(tx, [transferVideo, indexVideo, processVideo], ids);
  const progress = await takeAllProgress(tx, ids);
  // Their own bytes go, unless they are a video's by now.
  for (const task of tasks) {
    const isStored = task.status === 'QUEUED' || task.status === 'INDEXING';
    if (!isStored) await discardTaskObjects(tx, leftRunning(task));
    else
      await discardWork(tx, isWriting(task) ? leftRunning(task) : task, await withdraw(tx, task, 'CANCELED'));
  }
  const now = new Date();
  const rows = tasks.map((task) => {
    const figures = figuresOf(task, progress.get(task.id));
    return { id: task.id, ...figures, stages: closeStages(figures.stages, 'CANCELED', { now }) };
  });
  await tx.execute(sql`
    update tasks t set status = 'CANCELED', outcome = 'CANCELED', reason = ${CANCELED_REASON}, error = null,
           waiting_for = null, next_attempt_at = null, partial = null, storage_key = null,
           fraction = r.fraction, bytes_done = r."bytesDone", bytes_total = r."bytesTotal", stages = r.stages,
           finished_at = ${databaseNow}, updated_at = ${databaseNow}, progressed_at = ${databaseNow}
      from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
        as r(id uuid, fraction float8, "bytesDone" bigint, "bytesTotal" bigint, stages jsonb)
     where t.id = r.id`);
}

/** Whether a worker may be making products of its video. */
const isWriting = ({ status, stages }: TaskRow) => status === 'INDEXING' && productsOf(stages).length > 0;

/** Whoever transfers it may write until it notices that its claim is over: its bytes go as late as those of a repeated task. */
const leftRunning = (task: TaskRow): TaskRow =>
  task.attempts === 0 ? task : { ...task, attempts: task.attempts + 1 };

async function takeAllProgress(
  tx: Transaction,
  ids: readonly string[],
): Promise<ReadonlyMap<string, ProgressRow>> {
  const rows = await tx
    .delete(taskProgress)
    .where(sql`${taskProgress.taskId} = any(${sql.param(ids)}::uuid[])`)
    .returning();
  return new Map(rows.map((row) => [row.taskId, row]));
}
