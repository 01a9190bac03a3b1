import { eq } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import type { StoredError } from '../db/tables/tasks.ts';
import { databaseNow } from '../db/tables/types.ts';
import { videos } from '../db/tables/videos.ts';
import { transaction } from '../db/transaction.ts';
import { settleContent } from '../jobs/definitions.ts';
import { LeaseLostError } from '../jobs/errors.ts';
import type { ClaimedJob } from '../jobs/job.ts';
import { assertClaim, finishJob } from '../jobs/queue.ts';
import { releaseClaim, settleClaim } from './content-claims.ts';
import type { Services } from './deps.ts';
import {
  completeTask,
  discardTaskObjects,
  endAsFailed,
  endAsSkipped,
  lockOpenTask,
  moveTask,
  type TaskRow,
  versionOf,
} from './end-task.ts';
import { rememberSource } from './remember-source.ts';
import { superseded } from './settle-task.ts';

/**
 * Moves a task from QUEUED to INDEXING.
 * @returns null when it has ended meanwhile; the job is finished then
 * @throws {LeaseLostError} when another worker has the job
 */
export async function beginIndexing(services: Services, job: ClaimedJob): Promise<TaskRow | null> {
  const task = await transaction(services.db, async (tx) => {
    const locked = await lockOpenTask(tx, job.subjectId);
    if (!locked) {
      await finishJob(tx, job);
      return null;
    }
    // The first claim of the index job goes on with the attempt of the transfer; a repeated one is a further attempt.
    const attempts = locked.attempts + (job.claims > 1 ? 1 : 0);
    const startedAt = job.claims > 1 ? databaseNow : locked.startedAt;
    await moveTask(tx, locked, {
      status: 'INDEXING',
      attempts,
      startedAt,
      waitingFor: null,
      nextAttemptAt: null,
      error: null,
    });
    await assertClaim(tx, job);
    return { ...locked, attempts };
  });
  if (task) services.changes.announce(task);
  return task;
}

/**
 * Ends a task as READY, in the transaction that finishes its index job; or as SKIPPED, when a newer import has
 * replaced its version meanwhile.
 * @throws {LeaseLostError} when another worker has the job, or the task is not where this attempt left it
 */
export async function finishIndexing(services: Services, job: ClaimedJob): Promise<void> {
  const task = await transaction(services.db, async (tx) => {
    const locked = await lockOpenTask(tx, job.subjectId);
    if (locked?.status !== 'INDEXING') throw new LeaseLostError(job);
    await finishJob(tx, job);
    const video = await lockVideoOf(tx, locked);
    if (!video) throw new Error(`the video of task ${locked.id} is gone`);
    if (video.storageKey === locked.storageKey) await complete(tx, locked);
    else await endAsSkipped(tx, locked, superseded(video.id));
    return locked;
  });
  services.changes.announce(task);
  services.jobs.wake(settleContent.kind);
}

async function lockVideoOf(tx: Transaction, task: TaskRow): Promise<typeof videos.$inferSelect | null> {
  const [video] = await tx.select().from(videos).where(eq(videos.id, task.videoId)).for('no key update');
  return video ?? null;
}

async function complete(tx: Transaction, task: TaskRow): Promise<void> {
  await tx
    .update(videos)
    .set({ indexedAt: databaseNow, updatedAt: databaseNow })
    .where(eq(videos.id, task.videoId));
  await rememberSource(tx, task, task.videoId);
  await completeTask(tx, task, { outcome: task.madeVideo === false ? 'UPDATED' : 'CREATED' });
  if (task.sha256 !== null) await settleClaim(tx, { ...task, sha256: task.sha256 });
}

/**
 * Ends a task as FAILED whose index job failed for good. A video that it has made goes again with its bytes, unless
 * another import has updated or confirmed it since; an update stays as it is: playable, and not indexed.
 */
export async function failIndexing(tx: Transaction, task: TaskRow, error: StoredError): Promise<void> {
  const isFree = await withdraw(tx, task);
  await endAsFailed(tx, task, error);
  if (isFree) await discardTaskObjects(tx, task);
}

/**
 * Takes back what a locked task from QUEUED on has put in place: a video that it has made goes, unless another import has
 * updated or confirmed it since; an update stays. Its claim on the content passes on.
 * @returns whether nobody needs the task's bytes any more
 */
export async function withdraw(tx: Transaction, task: TaskRow): Promise<boolean> {
  const video = await lockVideoOf(tx, task);
  const isOwn =
    task.madeVideo === true &&
    video?.storageKey === task.storageKey &&
    video.versionImportId === versionOf(task);
  if (video && isOwn) {
    await tx.delete(videos).where(eq(videos.id, video.id));
    await releaseClaim(tx, video, video.id);
    return true;
  }
  if (task.sha256 !== null) await settleClaim(tx, { ...task, sha256: task.sha256 });
  // Bytes that were in place once are seen to by whoever replaced them.
  return task.madeVideo === null;
}
