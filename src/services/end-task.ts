import { asc, eq, inArray, type SQL, sql } from 'drizzle-orm';
import type { PgUpdateSetSource } from 'drizzle-orm/pg-core';
import type { Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { type StoredError, taskProgress, tasks } from '../db/tables/tasks.ts';
import { databaseNow } from '../db/tables/types.ts';
import { deleteObjects } from '../jobs/definitions.ts';
import { enqueue } from '../jobs/queue.ts';
import { advanceStages, closeStages, productsOf, rewindStages } from './stages.ts';

export type TaskRow = typeof tasks.$inferSelect;

/** What orders the versions that tasks bring of a video: their imports, by time. */
export function versionOf(task: Pick<TaskRow, 'id' | 'importId'>): string {
  return task.importId ?? task.id;
}

/** The statuses of a task that runs or waits. */
const OPEN_STATUSES = ['PENDING', 'UPLOADING', 'VALIDATING', 'QUEUED', 'INDEXING'] as const;

/**
 * Locks a task for the rest of the transaction.
 * @returns null when it has ended, or is gone
 */
export async function lockOpenTask(tx: Transaction, taskId: string): Promise<TaskRow | null> {
  const [row] = await tx.select().from(tasks).where(eq(tasks.id, taskId)).for('update');
  return row && inList(OPEN_STATUSES, row.status) ? row : null;
}

/** Locks tasks for the rest of the transaction, in the order of their ids. */
export async function lockTasks(tx: Transaction, ids: readonly string[]): Promise<readonly TaskRow[]> {
  if (ids.length === 0) return [];
  return await tx
    .select()
    .from(tasks)
    .where(inArray(tasks.id, [...ids]))
    .orderBy(asc(tasks.id))
    .for('update');
}

const inList = (list: readonly string[], value: string) => list.includes(value);

/** What the task's row takes over from its progress when it stops running: the figures where they were left. */
export async function takeProgress(tx: Transaction, task: TaskRow): Promise<Figures> {
  const [live] = await tx.delete(taskProgress).where(eq(taskProgress.taskId, task.id)).returning();
  return figuresOf(task, live);
}

/** How far a task and its stages have come. */
export type Figures = Pick<TaskRow, 'fraction' | 'bytesDone' | 'bytesTotal' | 'stages'>;

/** The figures of a task that has not ended, where its row and its progress have left them. */
export function figuresOf(task: TaskRow, live: typeof taskProgress.$inferSelect | undefined): Figures {
  const { fraction, bytesDone, bytesTotal, stages } = task;
  if (!live || live.attempt !== task.attempts) return { fraction, bytesDone, bytesTotal, stages };
  return {
    fraction: Math.max(fraction, live.fraction),
    bytesDone: Math.max(bytesDone, live.bytesDone),
    bytesTotal: live.bytesTotal ?? bytesTotal,
    stages: advanceStages(stages, live),
  };
}

type Change = PgUpdateSetSource<typeof tasks>;

/** Moves a locked task to another status, or changes it within its status. */
export async function moveTask(tx: Transaction, task: TaskRow, change: Change): Promise<void> {
  const moved = change.status !== undefined && change.status !== task.status;
  await tx
    .update(tasks)
    .set({ ...change, progressedAt: databaseNow, ...(moved ? { updatedAt: databaseNow } : {}) })
    .where(eq(tasks.id, task.id));
}

/** Ends a locked task as FAILED, and its bytes with it, but for those of an upload. */
export async function failTask(tx: Transaction, task: TaskRow, error: StoredError): Promise<void> {
  await endAsFailed(tx, task, error);
  await discardTaskObjects(tx, task);
}

/** Ends a locked task as FAILED whose bytes a video has by now. */
export async function endAsFailed(tx: Transaction, task: TaskRow, error: StoredError): Promise<void> {
  const now = new Date();
  const figures = await takeProgress(tx, task);
  await moveTask(tx, task, {
    ...figures,
    status: 'FAILED',
    outcome: 'FAILED',
    reason: error.message,
    error,
    waitingFor: null,
    nextAttemptAt: null,
    partial: null,
    storageKey: null,
    stages: closeStages(figures.stages, 'FAILED', { now, error }),
    finishedAt: databaseNow,
  });
}

/** How a task ends as SKIPPED. */
export interface Skip {
  readonly skipReason: 'SAME_CONTENT' | 'SAME_RECORD' | 'SUPERSEDED';
  readonly reason: string;
  readonly videoId: string;
}

/** Ends a locked task as SKIPPED: the video that is there already is the task's from now on, and its own bytes go. */
export async function skipTask(tx: Transaction, task: TaskRow, skip: Skip): Promise<void> {
  await endAsSkipped(tx, task, skip);
  await deleteTaskObjects(tx, task, null);
}

/** Ends a locked task as SKIPPED whose bytes are seen to already. */
export async function endAsSkipped(tx: Transaction, task: TaskRow, skip: Skip): Promise<void> {
  const now = new Date();
  const { bytesDone, bytesTotal, stages } = await takeProgress(tx, task);
  await moveTask(tx, task, {
    ...skip,
    bytesDone,
    bytesTotal,
    status: 'SKIPPED',
    outcome: 'SKIPPED',
    fraction: 1,
    error: null,
    waitingFor: null,
    nextAttemptAt: null,
    partial: null,
    storageKey: null,
    stages: closeStages(stages, 'SKIPPED', { now }),
    finishedAt: databaseNow,
  });
}

/** Ends a locked task as READY. `change` says what else is new about it. */
export async function completeTask(
  tx: Transaction,
  task: TaskRow,
  change: Change & { readonly outcome: 'CREATED' | 'UPDATED' },
): Promise<void> {
  const now = new Date();
  const { bytesDone, bytesTotal } = await takeProgress(tx, task);
  await moveTask(tx, task, {
    bytesDone,
    bytesTotal,
    stages: closeStages(task.stages, 'SKIPPED', { now }),
    ...change,
    status: 'READY',
    fraction: 1,
    error: null,
    waitingFor: null,
    nextAttemptAt: null,
    partial: null,
    finishedAt: databaseNow,
  });
}

/** What a task waits for in PENDING or QUEUED, and why it does. */
export interface Waiting {
  readonly waitingFor: 'WORKER' | 'RETRY' | 'STORAGE';
  readonly nextAttemptAt: Date | null;
  /** Why the latest attempt did not succeed; left out, what was known stays. */
  readonly error?: StoredError;
}

/** Sends a locked task back to wait for its next attempt: to PENDING, or to QUEUED when its bytes are stored and valid. */
export async function waitAgain(tx: Transaction, task: TaskRow, waiting: Waiting): Promise<void> {
  const stored = task.status === 'QUEUED' || task.status === 'INDEXING';
  await moveTask(tx, task, {
    ...(await takeProgress(tx, task)),
    ...waiting,
    status: stored ? 'QUEUED' : 'PENDING',
    stages: rewindStages(task.stages),
  });
}

/** Where the bytes of a task are kept: one folder a claim below it. */
export function taskPrefix(task: Pick<TaskRow, 'teamId' | 'id'>): string {
  return `teams/${task.teamId}/tasks/${task.id}`;
}

/** A worker that was presumed dead may write into its own folder until it notices: deletions wait for so long. */
const ZOMBIE_SECONDS = 90;

/** Has the bytes of a task deleted, those of all its claims so far but `keep`, once no zombie can write there any more. */
export async function deleteTaskObjects(
  tx: Transaction,
  task: Pick<TaskRow, 'teamId' | 'id' | 'attempts'>,
  keep: string | null,
): Promise<void> {
  if (task.attempts === 0 || (keep !== null && task.attempts === 1)) return;
  await planDeletion(tx, task, { keep, seconds: task.attempts === 1 ? 0 : ZOMBIE_SECONDS });
}

async function planDeletion(
  tx: Transaction,
  task: Pick<TaskRow, 'teamId' | 'id'>,
  { keep, seconds }: { readonly keep: string | null; readonly seconds: number },
): Promise<void> {
  const { rows } = await tx.execute<{ last: string }>(sql`select last_value::text as last from job_claims`);
  await enqueue(tx, deleteObjects, {
    subjectId: uuidv7(),
    teamId: task.teamId,
    payload: { prefix: taskPrefix(task), keep, lastClaim: rows[0]?.last ?? null },
    ...(seconds === 0 ? {} : { runAt: new Date(Date.now() + seconds * 1000) }),
  });
}

/**
 * Has deleted what runs of a task's process-video job have left and no video has in place, once none of them can write any
 * more; its original stays.
 */
export async function discardProducts(
  tx: Transaction,
  task: Pick<TaskRow, 'teamId' | 'id' | 'stages' | 'storageKey'>,
): Promise<void> {
  if (productsOf(task.stages).length === 0) return;
  const original = task.storageKey?.startsWith(`${taskPrefix(task)}/`) ? parentOf(task.storageKey) : null;
  await planDeletion(tx, task, { keep: original, seconds: ZOMBIE_SECONDS });
}

/** The folder that a key lies in. */
export const parentOf = (key: string) => key.slice(0, key.lastIndexOf('/'));

/**
 * Has the bytes of a task deleted that failed or was canceled. Those of an upload are the only copy of it, for a retry too:
 * they go with the upload, when that is given up.
 */
export async function discardTaskObjects(tx: Transaction, task: TaskRow): Promise<void> {
  if (task.uploadId === null) await deleteTaskObjects(tx, task, null);
}

/**
 * Has the bytes of uploads deleted that failed or canceled tasks still hold, before these or their uploads go.
 * @param which of the tasks, under the name t; they are locked
 */
export async function discardUploads(tx: Transaction, which: SQL): Promise<void> {
  const { rows } = await tx.execute<{ id: string; teamId: string; attempts: number }>(sql`
    select t.id, t.team_id as "teamId", t.attempts from tasks t
     where ${which} and t.upload_id is not null and t.status in ('FAILED', 'CANCELED')
       and not exists (select from videos v where v.id = t.video_id
         and starts_with(v.storage_key, 'teams/' || t.team_id || '/tasks/' || t.id || '/'))
     order by t.id for update`);
  for (const task of rows) await deleteTaskObjects(tx, task, null);
}
