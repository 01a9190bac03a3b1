import { and, eq, sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { indexes } from '../db/tables/indexes.ts';
import { type StoredPartial, tasks } from '../db/tables/tasks.ts';
import { databaseNow } from '../db/tables/types.ts';
import { sourceVersions } from '../db/tables/videos.ts';
import { transaction } from '../db/transaction.ts';
import { LeaseLostError } from '../jobs/errors.ts';
import type { ClaimedJob } from '../jobs/job.ts';
import { finishJob } from '../jobs/queue.ts';
import type { Services } from './deps.ts';
import { isOpen, type TaskRow } from './end-task.ts';
import { type Requirements, requirementsOf } from './requirements.ts';
import { moveAtOnce, moveClaimedTask } from './run-task.ts';
import { settleKnownContent } from './settle-task.ts';
import { beginStage, endStage, overallFraction, RECEIVED_SHARE, restartStages } from './stages.ts';

/** What a transfer works on. */
export interface Transfer {
  readonly task: TaskRow;
  readonly requirements: Requirements;
  /** What an earlier attempt left, that this one may go on from. */
  readonly partial: StoredPartial | null;
}

/**
 * Begins an attempt: the task is UPLOADING from now on.
 * @returns null when there is nothing to transfer: the task has ended, or its content turned out to be known
 * @throws {LeaseLostError} when another worker has the job
 */
export async function beginTransfer(services: Services, job: ClaimedJob): Promise<Transfer | null> {
  const begun = await transaction(services.db, async (tx) => {
    const found = await lockForTransfer(tx, job.subjectId);
    if (!found) {
      await finishJob(tx, job);
      return null;
    }
    const { task: locked, index, unchanged } = found;
    const task = { ...locked, attempts: locked.attempts + 1 };
    if (await settleKnownContent(tx, job, { task, unchanged })) return null;
    // What a client has sent of itself is done already.
    const done = task.uploadId === null ? 0 : RECEIVED_SHARE;
    const stages = beginStage(restartStages(task.stages), 'UPLOAD', new Date()).map((stage) =>
      stage.name === 'UPLOAD' ? { ...stage, fraction: done } : stage,
    );
    const change = {
      status: 'UPLOADING' as const,
      attempts: task.attempts,
      stages,
      fraction: overallFraction(stages, 'UPLOAD', done),
      bytesDone: task.uploadId === null ? 0 : (task.bytesTotal ?? 0),
    };
    const begun = { ...change, startedAt: databaseNow, waitingFor: null, nextAttemptAt: null, error: null };
    await moveClaimedTask(tx, { job, task: locked, change: begun });
    return { task: { ...task, ...change }, requirements: requirementsOf(services.requirements, index) };
  });
  if (!begun) return null;
  services.changes.announce(begun.task);
  return { ...begun, partial: begun.task.partial };
}

/**
 * Locks a task that has not ended, and reads what its transfer has to know: the rules of its index, and the SHA-256 of what its
 * source held when it came in before, if it still is that version.
 */
async function lockForTransfer(tx: Transaction, taskId: string) {
  const { requirements, analyzers } = indexes;
  const isUnchanged = and(
    eq(sourceVersions.indexId, tasks.indexId),
    eq(sourceVersions.source, tasks.sourceHash),
    eq(sourceVersions.version, tasks.sourceVersion),
  );
  const [found] = await tx
    .select({ task: tasks, index: { requirements, analyzers }, unchanged: sourceVersions.sha256 })
    .from(tasks)
    .innerJoin(indexes, eq(indexes.id, tasks.indexId))
    .leftJoin(sourceVersions, isUnchanged)
    .where(eq(tasks.id, taskId))
    .for('update', { of: tasks });
  return found && isOpen(found.task) ? found : null;
}

/** Remembers what a later attempt may go on from, should this one not come to its end. */
export async function rememberPartial(
  services: Services,
  job: ClaimedJob,
  partial: StoredPartial,
): Promise<void> {
  const { rowCount } = await services.db.execute(sql`
    update tasks t set partial = ${JSON.stringify(partial)}::jsonb
     where t.id = ${job.subjectId} and t.status = 'UPLOADING'
       and exists (select from jobs j where j.id = ${job.id} and j.claim = ${job.claim} and j.owner = ${job.owner})`);
  if (rowCount === 0) throw new LeaseLostError(job);
}

/** What has been copied in. */
export interface Copied {
  readonly sha256: string;
  readonly storageKey: string;
  readonly bytes: number;
  readonly version: string | null;
}

/**
 * Moves the task from UPLOADING to VALIDATING. What is stored serves a later attempt as well, should this one not come to its end.
 * @param task as its transfer has begun; it alone changes a task that is UPLOADING
 * @throws {LeaseLostError} when another worker has the job, or the task is not where this attempt left it
 */
export async function beginValidation(
  services: Services,
  job: ClaimedJob,
  { task, copied }: { readonly task: TaskRow; readonly copied: Copied },
): Promise<void> {
  const { bytes, sha256, storageKey, version } = copied;
  const now = new Date();
  const stages = beginStage(endStage(task.stages, 'UPLOAD', { state: 'DONE', now }), 'VALIDATION', now);
  const partial = version === null ? null : JSON.stringify({ key: storageKey, version });
  const set = sql`
    fraction = ${overallFraction(stages, 'VALIDATION', 0)}, stages = ${JSON.stringify(stages)}::jsonb, bytes_done = ${bytes},
    bytes_total = ${bytes}, sha256 = ${sha256}, storage_key = ${storageKey}, source_version = ${version}, partial = ${partial}::jsonb`;
  const moved = await moveAtOnce(services.db, { job, from: 'UPLOADING', to: 'VALIDATING', set });
  if (!moved) throw new LeaseLostError(job);
  services.changes.announce(moved);
}
