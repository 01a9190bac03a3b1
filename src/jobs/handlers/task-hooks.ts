import { sql } from 'drizzle-orm';
import type { Transaction } from '../../db/client.ts';
import type { StoredError } from '../../db/tables/tasks.ts';
import { lockOpenTask, type TaskRow, waitAgain } from '../../services/end-task.ts';
import { followTask } from '../../services/finish-import.ts';
import type { Failure, JobHandler, ReleaseReason, Wait } from '../handler.ts';
import type { ClaimedJob } from '../job.ts';
import type { HandlerDeps } from './deps.ts';
import { failureError, STORAGE_FULL } from './task-error.ts';

type TaskHooks = Required<Pick<JobHandler<unknown>, 'onRetry' | 'onFailed' | 'onReleased' | 'afterCommit'>>;

/**
 * What becomes of the task when a run of its job does not come to its end; and, after the commit of any end, that its
 * import is looked at and its watchers are told.
 * @param fail ends the locked task as FAILED
 */
export function createTaskHooks(
  deps: HandlerDeps,
  fail: (tx: Transaction, task: TaskRow, error: StoredError) => Promise<void>,
): TaskHooks {
  const { services, progress } = deps;
  const withTask = async (tx: Transaction, job: ClaimedJob, change: (task: TaskRow) => Promise<void>) => {
    const task = await lockOpenTask(tx, job.subjectId);
    if (!task) return;
    // Jobs before progress, as whoever writes the progress locks them: the other way round is a deadlock.
    await tx.execute(sql`select from jobs where id = ${job.id} for update`);
    await change(task);
  };
  return {
    onRetry: (tx, job, failure: Failure, nextAttemptAt: Date) =>
      withTask(tx, job, (task) =>
        waitAgain(tx, task, { waitingFor: 'RETRY', nextAttemptAt, error: failureError(failure) }),
      ),
    onFailed: (tx, job, failure: Failure) =>
      withTask(tx, job, (task) => fail(tx, task, failureError(failure))),
    onReleased: (tx, job, why: ReleaseReason, wait?: Wait) =>
      withTask(tx, job, (task) =>
        why === 'WAITING' && wait
          ? waitAgain(tx, task, { waitingFor: 'STORAGE', nextAttemptAt: wait.until, error: STORAGE_FULL })
          : waitAgain(tx, task, { waitingFor: 'WORKER', nextAttemptAt: null }),
      ),
    async afterCommit(job) {
      progress.forget(job.subjectId);
      await followTask(services, job.subjectId);
    },
  };
}
