import { and, eq, type SQL, sql } from 'drizzle-orm';
import type { Database, Transaction } from '../db/client.ts';
import { type TaskStatus, tasks } from '../db/tables/tasks.ts';
import { databaseNow } from '../db/tables/types.ts';
import { repeated } from '../db/transaction.ts';
import type { Change as Told } from '../events/changes.ts';
import { LeaseLostError } from '../jobs/errors.ts';
import type { ClaimedJob, ClaimToken } from '../jobs/job.ts';
import { finishJob, whileClaimed } from '../jobs/queue.ts';
import { type Change, type TaskRow, toSet } from './end-task.ts';

/**
 * Moves a locked task for a run of its job, which locks the job's row too.
 * @throws {LeaseLostError} when another worker has the job
 */
export async function moveClaimedTask(
  tx: Transaction,
  { job, task, change }: { readonly job: ClaimToken; readonly task: TaskRow; readonly change: Change },
): Promise<void> {
  const { rowCount } = await tx
    .update(tasks)
    .set(toSet(task, change))
    .where(and(eq(tasks.id, task.id), whileClaimed(job)));
  if (rowCount === 0) throw new LeaseLostError(job);
}

interface Step {
  readonly job: ClaimedJob;
  readonly from: TaskStatus;
  readonly to: TaskStatus;
  /** Columns that change beside the status, as they are written in an update. */
  readonly set: SQL;
}

/**
 * Moves the task of a run from one status to another in a statement that is a transaction of its own. It locks the task and
 * then the job, as all do who lock both; whoever has changed either while it waited is seen.
 * @returns whom to tell; null when the task was not in that status, or the claim is over: nothing is changed then
 */
export async function moveAtOnce(db: Database, { job, from, to, set }: Step): Promise<Told | null> {
  const { id, claim, owner, subjectId } = job;
  const { rows } = await repeated(() =>
    db.execute<Told & Record<string, unknown>>(sql`
      with task as materialized (
        select id from tasks where id = ${subjectId} and status = ${from} for update
      ), held as materialized (
        select task.id from task join jobs j on j.id = ${id} and j.claim = ${claim} and j.owner = ${owner} for update of j
      )
      update tasks t set status = ${to}, progressed_at = ${databaseNow}, updated_at = ${databaseNow}, ${set}
        from held where t.id = held.id
      returning t.team_id as "teamId", t.import_id as "importId"`),
  );
  return rows[0] ?? null;
}

/**
 * Ends a locked task's job, and what was reported of its run. Jobs before progress, as whoever writes the progress locks them:
 * the other way round is a deadlock.
 * @throws {LeaseLostError} when another worker has the job
 */
export async function finishJobOfTask(tx: Transaction, job: ClaimedJob): Promise<void> {
  await finishJob(tx, job, sql`delete from task_progress p using ended where p.task_id = ended.subject_id`);
}
