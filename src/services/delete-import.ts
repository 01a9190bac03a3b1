import { eq, sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { imports } from '../db/tables/imports.ts';
import { webhookDeliveries } from '../db/tables/webhooks.ts';
import { transaction } from '../db/transaction.ts';
import { deleteImport as deleteImportJob, deliverWebhook } from '../jobs/definitions.ts';
import type { ClaimedJob } from '../jobs/job.ts';
import { assertClaim, enqueueClaimed, finishJob, removeJobs } from '../jobs/queue.ts';
import type { Services } from './deps.ts';
import { discardUploads } from './end-task.ts';
import { ImportNotFinishedError, NotFoundError } from './errors.ts';
import { ownedBy } from './filters.ts';
import { firstRun } from './first-run.ts';
import type { Viewer } from './viewer.ts';

/** How many tasks, rejected files and entries, of each so many, go in one transaction. */
const BATCH = 1000;
/** How long the call itself removes them; a worker removes the rest. */
const CALL_MS = 7_000;

/**
 * Deletes a finished import with its entries, rejected files, webhooks and idempotency keys. Its tasks go with it, but for those whose
 * video is there: they stay as tasks of no import.
 *
 * The import's own row goes first, and with it the first batch of all the rest, so that the import is gone at once and as
 * a whole for whoever reads: nothing that is found by the import is found any more. What is left of a large one still
 * holds its id, which names nothing, and goes batch by batch; until then, a task that is to go is a task of no import. The
 * job that is stored with the first batch brings that to its end whatever happens to this process.
 * @throws {NotFoundError} also when another call has deleted it meanwhile
 * @throws {ImportNotFinishedError}
 */
export async function deleteImport(services: Services, viewer: Viewer, publicId: string): Promise<void> {
  const where = ownedBy(viewer, 'Import', publicId);
  const found = where && (await services.db.query.imports.findFirst({ where, columns: { id: true } }));
  if (!found) throw new NotFoundError('import', ['id']);
  const { teamId, job } = await transaction(services.db, (tx) => beginDelete(tx, services, found.id));
  services.changes.announce({ teamId, importId: found.id });
  if (job === null) return;
  await firstRun(services, job, {
    budgetMs: CALL_MS,
    work: (signal) => deleteRest(services, job, { signal }),
  });
}

async function beginDelete(
  tx: Transaction,
  services: Services,
  importId: string,
): Promise<{ readonly teamId: string; readonly job: ClaimedJob | null }> {
  const [row] = await tx.select().from(imports).where(eq(imports.id, importId)).for('update');
  if (!row) throw new NotFoundError('import', ['id']);
  if (row.finishedAt === null) throw new ImportNotFinishedError(row.state);
  const { teamId } = row;
  const deliveries = await tx
    .select({ id: webhookDeliveries.id })
    .from(webhookDeliveries)
    .where(eq(webhookDeliveries.importId, importId))
    .for('update');
  await tx.delete(imports).where(eq(imports.id, importId));
  const isWhole = await deleteBatch(tx, importId);
  await removeJobs(
    tx,
    [deliverWebhook],
    deliveries.map(({ id }) => id),
  );
  if (isWhole) return { teamId, job: null };
  const { owner, leaseSeconds } = services;
  const planned = { subjectId: importId, teamId, payload: {}, owner, leaseSeconds };
  return { teamId, job: await enqueueClaimed(tx, deleteImportJob, planned) };
}

/**
 * Removes what is left of an import whose row is gone, batch by batch, as the run of its delete-import job.
 * @returns whether all of it is gone; the job is finished then
 * @throws {LeaseLostError} when another process has taken the job
 */
export async function deleteRest(
  services: Services,
  job: ClaimedJob,
  { signal }: { readonly signal: AbortSignal },
): Promise<boolean> {
  for (let isLast = false; !isLast; ) {
    if (signal.aborted) return false;
    isLast = await transaction(services.db, async (tx) => {
      const last = await deleteBatch(tx, job.subjectId);
      await (last ? finishJob(tx, job) : assertClaim(tx, job));
      return last;
    });
    services.changes.announce({ teamId: job.teamId, importId: job.subjectId });
  }
  return true;
}

/** @returns whether nothing is left */
async function deleteBatch(tx: Transaction, importId: string): Promise<boolean> {
  await discardUploads(tx, sql`t.import_id = ${importId}`);
  const { rows } = await tx.execute<{ tasks: number }>(sql`
    with batch as materialized (
      select t.id, exists (select from videos v where v.id = t.video_id) as stays from tasks t
       where t.import_id = ${importId} order by t.ordinal limit ${BATCH} for update of t
    ), deleted as (
      delete from tasks t using batch b where t.id = b.id and not b.stays
    ), kept as (
      update tasks t set import_id = null from batch b where t.id = b.id and b.stays
    )
    select count(*)::int as tasks from batch`);
  const files = await tx.execute(sql`
    delete from failed_files where id = any(array(
      select id from failed_files where import_id = ${importId} order by ordinal limit ${BATCH}))`);
  const entries = await tx.execute(sql`
    delete from import_entries where import_id = ${importId} and ordinal = any(array(
      select ordinal from import_entries where import_id = ${importId} order by ordinal limit ${BATCH}))`);
  const counts = [rows[0]?.tasks, files.rowCount, entries.rowCount];
  return counts.every((count) => (count ?? 0) < BATCH);
}
