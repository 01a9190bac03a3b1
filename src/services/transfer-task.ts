import { sql } from 'drizzle-orm';
import type { StoredPartial, TaskStatus } from '../db/tables/tasks.ts';
import { databaseNow } from '../db/tables/types.ts';
import { transaction } from '../db/transaction.ts';
import { LeaseLostError } from '../jobs/errors.ts';
import type { ClaimedJob } from '../jobs/job.ts';
import { assertClaim, finishJob } from '../jobs/queue.ts';
import type { Services } from './deps.ts';
import { lockOpenTask, moveTask, type TaskRow } from './end-task.ts';
import { type Requirements, requirementsOf } from './requirements.ts';
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
    const locked = await lockOpenTask(tx, job.subjectId);
    if (!locked) {
      await finishJob(tx, job);
      return null;
    }
    const task = { ...locked, attempts: locked.attempts + 1 };
    if (await settleKnownContent(tx, job, task)) return null;
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
    await moveTask(tx, locked, {
      ...change,
      startedAt: databaseNow,
      waitingFor: null,
      nextAttemptAt: null,
      error: null,
    });
    await assertClaim(tx, job);
    const index = await tx.query.indexes.findFirst({ where: { id: task.indexId } });
    return {
      task: { ...task, ...change },
      requirements: index ? requirementsOf(services.requirements, index) : services.requirements,
    };
  });
  if (!begun) return null;
  services.changes.announce(begun.task);
  return { ...begun, partial: begun.task.partial };
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
 * Moves the task from UPLOADING to VALIDATING.
 * @throws {LeaseLostError} when another worker has the job, or the task is not where this attempt left it
 */
export async function beginValidation(services: Services, job: ClaimedJob, copied: Copied): Promise<void> {
  const task = await transaction(services.db, async (tx) => {
    const locked = await lockOpenTask(tx, job.subjectId);
    if (!locked || !isIn(locked.status, ['UPLOADING'])) throw new LeaseLostError(job);
    const now = new Date();
    await moveTask(tx, locked, {
      status: 'VALIDATING',
      fraction: overallFraction(locked.stages, 'VALIDATION', 0),
      bytesDone: copied.bytes,
      bytesTotal: copied.bytes,
      sha256: copied.sha256,
      storageKey: copied.storageKey,
      sourceVersion: copied.version,
      stages: beginStage(endStage(locked.stages, 'UPLOAD', { state: 'DONE', now }), 'VALIDATION', now),
    });
    await assertClaim(tx, job);
    return locked;
  });
  services.changes.announce(task);
}

const isIn = (status: TaskStatus, statuses: readonly TaskStatus[]) => statuses.includes(status);
