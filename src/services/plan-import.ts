import { setMaxListeners } from 'node:events';
import { sql } from 'drizzle-orm';
import type { StoredInput } from '../db/tables/imports.ts';
import { transaction } from '../db/transaction.ts';
import { transferVideo } from '../jobs/definitions.ts';
import type { ClaimedJob } from '../jobs/job.ts';
import { assertClaim, finishJob } from '../jobs/queue.ts';
import { SourceError } from '../sources/errors.ts';
import { askedProducts } from './asked-products.ts';
import type { Services } from './deps.ts';
import { closePlanning } from './end-planning.ts';
import type { Entry } from './entry.ts';
import { finishImport } from './finish-import.ts';
import { type ImportFault, listingFault } from './import-fault.ts';
import { type Decision, type Judging, judgeEntries } from './judge-entries.ts';
import { storePage } from './list-entries.ts';
import { createListing, type Listing } from './listing.ts';
import { type PlannedImport, recordVerdicts } from './record-verdicts.ts';
import { requirementsOf } from './requirements.ts';

/** How many entries are looked at together; bounds memory and how much a kill repeats. */
const WINDOW = 1000;

interface Plan {
  readonly services: Services;
  readonly planned: PlannedImport;
  readonly judging: Judging;
  /** What lists the entries that are not there yet; null when all are. */
  readonly listing: Listing | null;
  readonly job: ClaimedJob;
  readonly signal: AbortSignal;
}

/**
 * Lists the entries of an import that are not there yet and judges those that have no verdict, as the run of its
 * plan-import job: the call of startImport is the first run, within its time budget; a worker does the rest. Each page
 * of a listing, and each batch of verdicts with its tasks and transfer jobs, is committed with where it goes on, fenced
 * by the job's claim, so that a kill between two of them loses and repeats nothing.
 * @param options.signal ends the run early: what is judged by then has been written
 * @returns whether planning is over; the job is finished then
 * @throws {LeaseLostError} when another process has taken the job
 * @throws {SourceError} a retryable one, when a listing breaks off for now
 */
export async function planImport(
  services: Services,
  job: ClaimedJob,
  options: { readonly signal: AbortSignal },
): Promise<boolean> {
  // Every entry of a window listens to it.
  setMaxListeners(0, options.signal);
  const plan = await loadPlan(services, job, options.signal);
  if (!plan) return true;
  try {
    const fault = await planAll(plan);
    if (options.signal.aborted) return false;
    await endPlanning(plan, fault);
    return true;
  } finally {
    plan.listing?.end();
  }
}

async function loadPlan(services: Services, job: ClaimedJob, signal: AbortSignal): Promise<Plan | null> {
  const row = await services.db.query.imports.findFirst({
    where: { id: job.subjectId, state: 'PLANNING' },
    with: { index: true, integration: true },
  });
  if (!row?.index) return null;
  const { id, teamId, systemName, integration, incremental, metadata } = row;
  const opened = integration && {
    id: integration.id,
    source: services.integrationSources.of(integration),
  };
  const planned: PlannedImport = {
    id,
    teamId,
    indexId: row.index.id,
    systemName,
    integrationId: row.integrationId,
    incremental,
    metadata,
    products: askedProducts(row, row.index.analyzers),
  };
  const judging: Judging = {
    services,
    ...planned,
    importId: id,
    requirements: requirementsOf(services.requirements, row.index),
    integration: opened,
    skipFailed: row.source === 'INTEGRATION' && !row.retryFailed,
    signal,
  };
  const listing =
    row.listed || !opened
      ? null
      : createListing(opened.source, { prefix: row.prefix, position: row.listingPosition, signal });
  return { services, planned, judging, listing, job, signal };
}

/** Judges what is there and lists on, by turns. @returns why the listing ended early, if it did */
async function planAll(plan: Plan): Promise<ImportFault | null> {
  let after = -1;
  for (;;) {
    const entries = await nextEntries(plan, after);
    if (entries.length > 0) {
      await judgeEntries(plan.judging, entries, (batch) => record(plan, batch));
      if (plan.signal.aborted) return null;
      after = entries.at(-1)?.ordinal ?? after;
      continue;
    }
    if (plan.listing === null || plan.listing.isOver()) return null;
    const fault = await listOn(plan, plan.listing);
    if (fault !== null || plan.signal.aborted) return fault;
  }
}

async function nextEntries({ services, planned }: Plan, after: number): Promise<readonly Entry[]> {
  const { rows } = await services.db.execute<{ ordinal: number; input: StoredInput }>(sql`
    select ordinal, input from import_entries
     where import_id = ${planned.id} and verdict is null and ordinal > ${after}
     order by ordinal limit ${WINDOW}`);
  return rows;
}

/** Lists a page and stores it. @returns why that will not succeed later either */
async function listOn(plan: Plan, listing: Listing): Promise<ImportFault | null> {
  const { services, planned, job, signal } = plan;
  try {
    const page = await listing.next();
    await transaction(services.db, async (tx) => {
      await tx.execute(sql`select from imports where id = ${planned.id} for update`);
      await storePage(tx, planned.id, page);
      await assertClaim(tx, job);
    });
    services.changes.announce({ teamId: planned.teamId, importId: planned.id });
    return null;
  } catch (error) {
    if (signal.aborted) return null;
    if (!(error instanceof SourceError) || error.retryable) throw error;
    return listingFault(error);
  }
}

async function record({ services, planned, job }: Plan, batch: readonly Decision[]): Promise<void> {
  const made = await transaction(services.db, async (tx) => {
    await tx.execute(sql`select from imports where id = ${planned.id} for update`);
    const transfers = await recordVerdicts(tx, planned, batch);
    await assertClaim(tx, job);
    return transfers;
  });
  if (made > 0) services.jobs.wake(transferVideo.kind);
  services.changes.announce({ teamId: planned.teamId, importId: planned.id });
}

async function endPlanning({ services, planned, job }: Plan, fault: ImportFault | null): Promise<void> {
  await transaction(services.db, async (tx) => {
    await closePlanning(tx, planned.id, fault);
    await finishJob(tx, job);
  });
  services.changes.announce({ teamId: planned.teamId, importId: planned.id });
  await finishImport(services, planned.id);
}
