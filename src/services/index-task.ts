import { and, asc, eq, sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { type StoredError, tasks } from '../db/tables/tasks.ts';
import { contentClaims, videos } from '../db/tables/videos.ts';
import { transaction } from '../db/transaction.ts';
import { settleContent } from '../jobs/definitions.ts';
import { LeaseLostError } from '../jobs/errors.ts';
import type { ClaimedJob } from '../jobs/job.ts';
import { assertClaim, enqueue, finishJob } from '../jobs/queue.ts';
import type { Services } from './deps.ts';
import { completeTask, failTask, lockOpenTask, moveTask, type TaskRow } from './end-task.ts';
import { rememberSource } from './settle-task.ts';

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
    const startedAt = job.claims > 1 ? new Date() : locked.startedAt;
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
 * Ends a task as READY, in the transaction that finishes its index job.
 * @throws {LeaseLostError} when another worker has the job, or the task is not where this attempt left it
 */
export async function finishIndexing(services: Services, job: ClaimedJob): Promise<void> {
  const task = await transaction(services.db, async (tx) => {
    const locked = await lockOpenTask(tx, job.subjectId);
    if (locked?.status !== 'INDEXING') throw new LeaseLostError(job);
    await finishJob(tx, job);
    const [video] = await tx
      .update(videos)
      .set({ indexedAt: sql`now()`, updatedAt: sql`now()` })
      .where(eq(videos.id, locked.videoId))
      .returning({ createdBy: videos.createdAt });
    if (!video) throw new Error(`the video of task ${locked.id} is gone`);
    await rememberSource(tx, locked, locked.videoId);
    await completeTask(tx, locked, { outcome: await outcomeOf(tx, locked) });
    await passOnContent(tx, locked, 'IN');
    return locked;
  });
  services.changes.announce(task);
  services.jobs.wake(settleContent.kind);
}

/** UPDATED when an earlier task had brought the video in already. */
async function outcomeOf(tx: Transaction, task: TaskRow): Promise<'CREATED' | 'UPDATED'> {
  const earlier = await tx.query.tasks.findFirst({
    where: { videoId: task.videoId, id: { ne: task.id }, outcome: { in: ['CREATED', 'UPDATED'] } },
    columns: { id: true },
  });
  return earlier ? 'UPDATED' : 'CREATED';
}

/** Ends a task as FAILED whose index job failed for good: what it has brought in goes again, unless it was an update. */
export async function failIndexing(tx: Transaction, task: TaskRow, error: StoredError): Promise<void> {
  await failTask(tx, task, error);
  await passOnContent(tx, task, 'FAILED');
  await tx
    .delete(videos)
    .where(and(eq(videos.id, task.videoId), eq(videos.storageKey, task.storageKey ?? '')));
}

/**
 * The task holds its content no longer: the video does, or nobody. Then whoever waits for it is decided about by a job.
 * The claim is changed first: a task that comes to wait at this moment either sees the change, or is seen here.
 */
async function passOnContent(tx: Transaction, task: TaskRow, end: 'IN' | 'FAILED'): Promise<void> {
  if (task.sha256 === null) return;
  const held = and(
    eq(contentClaims.indexId, task.indexId),
    eq(contentClaims.sha256, task.sha256),
    eq(contentClaims.taskId, task.id),
  );
  const changed =
    end === 'IN'
      ? await tx.update(contentClaims).set({ taskId: null }).where(held).returning()
      : await tx.delete(contentClaims).where(held).returning();
  if (changed.length === 0) return;
  if ((await waitingFor(tx, { indexId: task.indexId, sha256: task.sha256 })) === null) return;
  await enqueue(tx, settleContent, {
    subjectId: task.id,
    teamId: task.teamId,
    payload: { indexId: task.indexId, sha256: task.sha256 },
  });
}

/** The task that has waited longest for this content; null when none waits. */
export async function waitingFor(
  db: Transaction | Services['db'],
  content: { readonly indexId: string; readonly sha256: string },
): Promise<string | null> {
  const [row] = await db
    .select({ id: tasks.id })
    .from(tasks)
    .where(
      and(
        eq(tasks.indexId, content.indexId),
        eq(tasks.sha256, content.sha256),
        eq(tasks.waitingFor, 'SAME_CONTENT'),
      ),
    )
    .orderBy(asc(tasks.id))
    .limit(1);
  return row?.id ?? null;
}
