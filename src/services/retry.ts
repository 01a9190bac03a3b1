import { and, eq, inArray, lte, sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { sqlState } from '../db/sql-state.ts';
import { imports } from '../db/tables/imports.ts';
import { type TaskStatus, tasks } from '../db/tables/tasks.ts';
import { databaseNow } from '../db/tables/types.ts';
import { transaction } from '../db/transaction.ts';
import {
  cancelImport as cancelImportJob,
  processVideo,
  retryImport as retryImportJob,
  transferVideo,
} from '../jobs/definitions.ts';
import type { ClaimedJob, Job } from '../jobs/job.ts';
import { assertClaim, enqueueClaimed, finishJob, removeJobs } from '../jobs/queue.ts';
import type { Services } from './deps.ts';
import { lockTasks } from './end-task.ts';
import {
  ImportAlreadyRunningError,
  ImportCannotBeRetriedError,
  NotFoundError,
  TaskCannotBeRetriedError,
} from './errors.ts';
import { ownedBy } from './filters.ts';
import { finishImport } from './finish-import.ts';
import { firstRun } from './first-run.ts';
import { keepIndex } from './indexes.ts';
import { requeueOnly, requeueTasks } from './requeue-tasks.ts';
import { isExpired } from './retention.ts';
import { runningImport } from './running-import.ts';
import { assertRoom } from './usage.ts';
import type { Viewer } from './viewer.ts';

type ImportRow = typeof imports.$inferSelect;

/** What may be tried again. */
const RETRYABLE = ['FAILED', 'CANCELED'] as const;
/** How many tasks are queued again in one transaction. */
const BATCH = 1000;
/** How long the call itself queues tasks; a worker does the rest. */
const CALL_MS = 7_000;
const UNIQUE_VIOLATION = '23505';

/**
 * Queues the FAILED and CANCELED tasks of a finished import again, and opens the import for them.
 * @returns its row id
 * @throws {NotFoundError}
 * @throws {ImportCannotBeRetriedError} when it has not finished, has no such task, or is not whole any more
 * @throws {ImportAlreadyRunningError} when another import from the same integration is running
 * @throws {UsageLimitExceededError} when a limit of the team is reached
 */
export async function retryImport(services: Services, viewer: Viewer, publicId: string): Promise<string> {
  const where = ownedBy(viewer, 'Import', publicId);
  const found = where && (await services.db.query.imports.findFirst({ where, columns: { id: true } }));
  if (!found) throw new NotFoundError('import', ['id']);
  const job = await openAgain(services, found.id, (tx, row) => beginRetry(tx, services, row));
  services.changes.announce({ teamId: job.teamId, importId: found.id });
  await firstRun(services, job, {
    budgetMs: CALL_MS,
    work: (signal) => requeueEnded(services, job, { signal }),
  });
  return found.id;
}

/** Opens an import in a transaction of its own; what its constraint says of two that run at once becomes the error that it is. */
async function openAgain<T>(
  services: Services,
  importId: string,
  open: (tx: Transaction, row: ImportRow) => Promise<T>,
): Promise<T> {
  try {
    return await transaction(services.db, async (tx) => {
      // Neither its index nor its integration must be deleted in the same moment; they are locked first, as by startImport.
      await tx.execute(sql`
        select from indexes where id = (select index_id from imports where id = ${importId}) for key share`);
      await tx.execute(sql`
        select from integrations where id = (select integration_id from imports where id = ${importId}) for key share`);
      const [row] = await tx.select().from(imports).where(eq(imports.id, importId)).for('update');
      if (!row) throw new NotFoundError('import', ['id']);
      return await open(tx, row);
    });
  } catch (error) {
    if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
    const row = await services.db.query.imports.findFirst({ where: { id: importId } });
    const running = await runningImport(services.db, row?.integrationId ?? null);
    if (running === null) throw error;
    throw new ImportAlreadyRunningError(running);
  }
}

async function beginRetry(
  tx: Transaction,
  services: Services,
  row: ImportRow,
): Promise<Job<{ endedBefore: string }>> {
  if (row.finishedAt === null)
    throw new ImportCannotBeRetriedError(row.state, { isEnding: row.state === 'CANCELED' });
  // With part of its tasks gone it could not be counted.
  if (await isExpired(tx, row)) throw new ImportCannotBeRetriedError(row.state, { isExpired: true });
  const [first] = await tx
    .select({ id: tasks.id })
    .from(tasks)
    .where(and(eq(tasks.importId, row.id), inArray(tasks.status, [...RETRYABLE])))
    .limit(1);
  if (!first) throw new ImportCannotBeRetriedError(row.state);
  await assertRoom(tx, row.teamId);
  const endedBefore = await clock(tx);
  await reopen(tx, row);
  return await enqueueClaimed(tx, retryImportJob, {
    subjectId: row.id,
    teamId: row.teamId,
    payload: { endedBefore },
    owner: services.owner,
    leaseSeconds: services.leaseSeconds,
  });
}

/** The database's time behind the lock on the import: whatever has ended by then had ended when it finished. */
async function clock(tx: Transaction): Promise<string> {
  const { rows } = await tx.execute<{ now: string }>(
    sql`select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as now`,
  );
  const [row] = rows;
  if (!row) throw new Error('the database has no clock');
  return row.now;
}

/** A finished import runs once more. Why its listing ended early stays true; that nothing came in may not. */
async function reopen(tx: Transaction, row: ImportRow): Promise<void> {
  const isBroken = row.errorCode !== null && row.errorCode !== 'NOTHING_CAME_IN';
  // A process that died after it had ended the last task leaves it behind: it would cancel what is tried again.
  await removeJobs(tx, [cancelImportJob], [row.id]);
  await tx
    .update(imports)
    .set({
      state: 'STARTED',
      runs: row.runs + 1,
      finishedAt: null,
      counts: null,
      hasFailures: false,
      ...(isBroken ? {} : { errorCode: null, errorMessage: null }),
      updatedAt: databaseNow,
    })
    .where(eq(imports.id, row.id));
}

/**
 * Queues again the tasks of an import that had failed or were canceled when it finished, batch by batch, as the run of its
 * retry-import job. One that fails once more meanwhile is not taken twice.
 * @returns whether all are queued; the job is finished then
 * @throws {LeaseLostError} when another process has taken the job
 */
export async function requeueEnded(
  services: Services,
  job: Job<{ endedBefore: string }>,
  { signal }: { readonly signal: AbortSignal },
): Promise<boolean> {
  const importId = job.subjectId;
  for (;;) {
    if (signal.aborted) return false;
    const isLast = await requeueBatch(services, job);
    services.jobs.wake(transferVideo.kind);
    services.changes.announce({ teamId: job.teamId, importId });
    if (isLast) break;
  }
  await finishImport(services, importId);
  return true;
}

async function requeueBatch(services: Services, job: Job<{ endedBefore: string }>): Promise<boolean> {
  const endedBefore = new Date(job.payload.endedBefore);
  return await transaction(services.db, async (tx) => {
    // Picked without an order, which leads through the index of the import's tasks; locked in that of their ids.
    const picked = tx
      .select({ id: tasks.id })
      .from(tasks)
      .where(
        and(
          eq(tasks.importId, job.subjectId),
          inArray(tasks.status, [...RETRYABLE]),
          lte(tasks.finishedAt, endedBefore),
        ),
      )
      .limit(BATCH);
    const ids = (await picked).map(({ id }) => id);
    const ended = (await lockTasks(tx, ids)).filter(({ status }) =>
      RETRYABLE.some((each) => each === status),
    );
    await requeueTasks(tx, ended);
    const last = ids.length < BATCH;
    await (last ? finishJob(tx, job as ClaimedJob) : assertClaim(tx, job));
    return last;
  });
}

/**
 * Queues one FAILED or CANCELED task again; a finished import that it is of runs again.
 * @returns its row id
 * @throws {NotFoundError}
 * @throws {TaskCannotBeRetriedError} when it is neither, its import is being canceled or is not whole any more, or the video is gone
 *   that it was to index again
 * @throws {ImportAlreadyRunningError} when another import from the same integration is running
 * @throws {UsageLimitExceededError} when a limit of the team is reached
 */
export async function retryTask(services: Services, viewer: Viewer, publicId: string): Promise<string> {
  const where = ownedBy(viewer, 'Task', publicId);
  const columns = { id: true, teamId: true, importId: true, indexId: true } as const;
  const task = where && (await services.db.query.tasks.findFirst({ where, columns }));
  if (!task) throw new NotFoundError('task', ['id']);
  const { importId } = task;
  if (importId === null) {
    await transaction(services.db, async (tx) => {
      await keepIndex(tx, task.indexId);
      await requeueOne(tx, task.id);
    });
  } else await openAgain(services, importId, (tx, row) => requeueWithin(tx, row, task.id));
  services.jobs.wake(transferVideo.kind);
  services.jobs.wake(processVideo.kind);
  services.changes.announce(task);
  return task.id;
}

async function requeueWithin(tx: Transaction, row: ImportRow, taskId: string): Promise<void> {
  // One that is being canceled would cancel it again.
  if (row.state === 'CANCELED' && row.finishedAt === null)
    throw new TaskCannotBeRetriedError('CANCELED', { isEnding: true });
  const status = await requeueOne(tx, taskId);
  if (row.finishedAt === null) return;
  if (await isExpired(tx, row)) throw new TaskCannotBeRetriedError(status, { isExpired: true });
  await reopen(tx, row);
}

/** @returns the status that it had */
async function requeueOne(tx: Transaction, taskId: string): Promise<TaskStatus> {
  const [task] = await tx.select().from(tasks).where(eq(tasks.id, taskId)).for('update');
  if (!task) throw new NotFoundError('task', ['id']);
  if (task.status !== 'FAILED' && task.status !== 'CANCELED') throw new TaskCannotBeRetriedError(task.status);
  await requeueOnly(tx, task);
  return task.status;
}
