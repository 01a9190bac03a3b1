import { and, eq, isNull, sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { imports } from '../db/tables/imports.ts';
import { tasks } from '../db/tables/tasks.ts';
import { databaseNow } from '../db/tables/types.ts';
import { transaction } from '../db/transaction.ts';
import {
  cancelImport as cancelImportJob,
  deleteObjects,
  planImport,
  retryImport,
  settleContent,
} from '../jobs/definitions.ts';
import type { ClaimedJob } from '../jobs/job.ts';
import { assertClaim, enqueueClaimed, finishJob, removeJobs } from '../jobs/queue.ts';
import { cancelTasks } from './cancel-tasks.ts';
import { cancelUndecided } from './cancel-undecided.ts';
import type { Services } from './deps.ts';
import { lockOpenTask, lockTasks } from './end-task.ts';
import { NotFoundError } from './errors.ts';
import { ownedBy } from './filters.ts';
import { finishImport } from './finish-import.ts';
import { firstRun } from './first-run.ts';
import type { Viewer } from './viewer.ts';

type ImportRow = typeof imports.$inferSelect;

/** How many tasks are ended in one transaction. */
const BATCH = 1000;
/** How long the call itself ends tasks; a worker ends the rest. */
const CALL_MS = 7_000;

/**
 * Stops an import: it is CANCELED from now on, nothing of it is listed or judged any more, and its unfinished tasks end as
 * CANCELED; what had no verdict yet becomes a task that is CANCELED. One that has finished stays as it is.
 * @returns its row id
 * @throws {NotFoundError}
 */
export async function cancelImport(services: Services, viewer: Viewer, publicId: string): Promise<string> {
  const where = ownedBy(viewer, 'Import', publicId);
  const found = where && (await services.db.query.imports.findFirst({ where, columns: { id: true } }));
  if (!found) throw new NotFoundError('import', ['id']);
  const job = await transaction(services.db, async (tx) => {
    const [row] = await tx.select().from(imports).where(eq(imports.id, found.id)).for('update');
    if (!row || row.finishedAt !== null || row.state === 'CANCELED') return null;
    return await beginCancel(tx, services, row);
  });
  if (job === null) return found.id;
  services.changes.announce({ teamId: job.teamId, importId: found.id });
  await firstRun(services, job, {
    budgetMs: CALL_MS,
    work: (signal) => cancelOpenTasks(services, job, { signal }),
  });
  return found.id;
}

/** Marks the import, and plans what is left to do: a process that dies here leaves it to another. */
async function beginCancel(tx: Transaction, services: Services, row: ImportRow): Promise<ClaimedJob> {
  // Whoever lists, judges or retries loses the claim, and with it all that is not committed yet.
  await removeJobs(tx, [planImport, retryImport], [row.id]);
  await cancelUndecided(tx, row);
  await tx.execute(sql`
    update imports set state = 'CANCELED', listed = true, started_at = coalesce(started_at, ${databaseNow}), updated_at = ${databaseNow}
     where id = ${row.id}`);
  return await enqueueClaimed(tx, cancelImportJob, {
    subjectId: row.id,
    teamId: row.teamId,
    payload: {},
    owner: services.owner,
    leaseSeconds: services.leaseSeconds,
  });
}

/**
 * Ends the unfinished tasks of a canceled import, batch by batch, as the run of its cancel-import job.
 * @returns whether all have ended; the job is finished then, and the import
 * @throws {LeaseLostError} when another process has taken the job
 */
export async function cancelOpenTasks(
  services: Services,
  job: ClaimedJob,
  { signal }: { readonly signal: AbortSignal },
): Promise<boolean> {
  const importId = job.subjectId;
  for (;;) {
    if (signal.aborted) return false;
    const isLast = await transaction(services.db, async (tx) => {
      // Picked without an order, which leads through the index of the import's open tasks; locked in that of their ids.
      const picked = await tx
        .select({ id: tasks.id })
        .from(tasks)
        .where(and(eq(tasks.importId, importId), isNull(tasks.finishedAt)))
        .limit(BATCH);
      const locked = await lockTasks(
        tx,
        picked.map(({ id }) => id),
      );
      const open = locked.filter(({ finishedAt }) => finishedAt === null);
      await cancelTasks(tx, open);
      const last = picked.length < BATCH;
      await (last ? finishJob(tx, job) : assertClaim(tx, job));
      return last;
    });
    services.changes.announce({ teamId: job.teamId, importId });
    wakeAfterCancel(services);
    if (isLast) break;
  }
  await finishImport(services, importId);
  return true;
}

/** Bytes may go, and tasks may go on that waited for the same content. */
function wakeAfterCancel({ jobs }: Services): void {
  jobs.wake(deleteObjects.kind);
  jobs.wake(settleContent.kind);
}

/**
 * Ends one task as CANCELED; one that has finished stays as it is.
 * @returns its row id
 * @throws {NotFoundError}
 */
export async function cancelTask(services: Services, viewer: Viewer, publicId: string): Promise<string> {
  const where = ownedBy(viewer, 'Task', publicId);
  const found = where && (await services.db.query.tasks.findFirst({ where, columns: { id: true } }));
  if (!found) throw new NotFoundError('task', ['id']);
  const canceled = await transaction(services.db, async (tx) => {
    const task = await lockOpenTask(tx, found.id);
    if (task) await cancelTasks(tx, [task]);
    return task;
  });
  if (canceled === null) return found.id;
  services.changes.announce(canceled);
  wakeAfterCancel(services);
  if (canceled.importId !== null) await finishImport(services, canceled.importId);
  return found.id;
}
