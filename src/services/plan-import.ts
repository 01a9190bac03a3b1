import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'drizzle-orm';
import type { StoredVideoInput } from '../db/tables/imports.ts';
import { databaseNow } from '../db/tables/types.ts';
import { transaction } from '../db/transaction.ts';
import { transferVideo } from '../jobs/definitions.ts';
import type { ClaimedJob } from '../jobs/job.ts';
import { assertClaim, finishJob } from '../jobs/queue.ts';
import type { Services } from './deps.ts';
import { finishImport } from './finish-import.ts';
import { judgeContent, judgeProbe, type Verdict } from './judge-entry.ts';
import { type Known, lookUpKnown } from './known-content.ts';
import { type Decision, type PlannedImport, recordVerdicts } from './record-verdicts.ts';
import { mostRestrictive, type Requirements } from './requirements.ts';

/** How many entries are looked at together; bounds memory and how much a kill repeats. */
const WINDOW = 256;
/** Verdicts are written this often, so that transfers start and subscribers see them while planning goes on. */
const RECORD_MS = 250;

interface Entry {
  readonly ordinal: number;
  readonly input: StoredVideoInput;
}

interface Plan {
  readonly services: Services;
  readonly planned: PlannedImport;
  readonly requirements: Requirements;
  readonly job: ClaimedJob;
  readonly signal: AbortSignal;
}

/**
 * Judges the entries of an import that have no verdict yet, as the run of its plan-import job: the call of
 * startImport is the first run, within its time budget; a worker does the rest. Each batch commits its verdicts, tasks
 * and transfer jobs together, fenced by the job's claim, so that a kill between batches loses and repeats nothing.
 * @param options.signal ends the run early: what is judged by then has been written
 * @returns whether planning is over; the job is finished then
 * @throws {LeaseLostError} when another process has taken the job
 */
export async function planImport(
  services: Services,
  job: ClaimedJob,
  options: { readonly signal: AbortSignal },
): Promise<boolean> {
  const loaded = await loadPlannedImport(services, job.subjectId);
  if (!loaded) return true;
  // Every entry of a window listens to it.
  setMaxListeners(0, options.signal);
  const plan: Plan = { services, ...loaded, job, signal: options.signal };
  let after = -1;
  for (;;) {
    const entries = await nextEntries(plan, after);
    if (entries.length === 0) break;
    await judgeEntries(plan, entries);
    if (options.signal.aborted) return false;
    after = entries.at(-1)?.ordinal ?? after;
  }
  await endPlanning(plan);
  return true;
}

async function loadPlannedImport(services: Services, importId: string) {
  const row = await services.db.query.imports.findFirst({
    where: { id: importId, state: 'PLANNING' },
    with: { index: true },
  });
  if (!row?.index || row.systemName === null) return null;
  const planned: PlannedImport = {
    id: row.id,
    teamId: row.teamId,
    indexId: row.index.id,
    systemName: row.systemName,
    incremental: row.incremental,
    metadata: row.metadata,
  };
  return { planned, requirements: mostRestrictive(services.requirements, row.index.requirements) };
}

async function nextEntries({ services, planned }: Plan, after: number): Promise<readonly Entry[]> {
  const { rows } = await services.db.execute<{ ordinal: number; input: StoredVideoInput }>(sql`
    select ordinal, input from import_entries
     where import_id = ${planned.id} and verdict is null and ordinal > ${after}
     order by ordinal limit ${WINDOW}`);
  return rows;
}

/** Judges a window of entries at once and writes verdicts as they come; after an abort, those that are there. */
async function judgeEntries(plan: Plan, entries: readonly Entry[]): Promise<void> {
  const known = await lookUpKnown(plan.services.db, {
    indexId: plan.planned.indexId,
    systemName: plan.planned.systemName,
    entries: entries.map(({ ordinal, input }) => ({
      ordinal,
      externalId: input.externalId,
      url: input.url,
      sha256: input.sha256 ?? null,
    })),
  });
  let decided: Decision[] = [];
  let open = entries.length;
  const done = new AbortController();
  for (const entry of entries) {
    void judgeEntry(plan, entry, known.get(entry.ordinal)).then((verdict) => {
      if (verdict) decided.push({ ...entry, verdict });
      open -= 1;
      if (open === 0) done.abort();
    });
  }
  while (open > 0 && !plan.signal.aborted) {
    await pause(RECORD_MS, AbortSignal.any([done.signal, plan.signal]));
    const batch = decided;
    decided = [];
    if (batch.length > 0) await record(plan, batch);
  }
  if (decided.length > 0) await record(plan, decided);
}

const pause = (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }).catch(() => {});

/** The verdict on one entry; null when the run ended before there was one. */
async function judgeEntry(plan: Plan, { input }: Entry, known: Known | undefined): Promise<Verdict | null> {
  const { services, planned, requirements, signal } = plan;
  const what: Known = known ?? { video: null, source: null, contents: new Map() };
  const options = { incremental: planned.incremental, metadata: planned.metadata };
  const verdict =
    input.sha256 === undefined ? null : judgeContent(input, what, { ...options, sha256: input.sha256 });
  if (verdict) return verdict;
  try {
    return await services.originLimit(input.url, signal, async () => {
      const probe = await services.prober(input.url, {
        knownVersion: what.source?.version ?? null,
        requirements,
        signal,
      });
      return judgeProbe(input, what, { ...options, probe });
    });
  } catch (error) {
    if (signal.aborted) return null;
    // A fault of ours must not reject anybody's video: its transfer will tell.
    services.log.error({ err: error, importId: planned.id }, 'a video could not be looked at while planning');
    return { kind: 'ACCEPTED', version: null, size: null, metadata: null };
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

async function endPlanning({ services, planned, job }: Plan): Promise<void> {
  await transaction(services.db, async (tx) => {
    await tx.execute(sql`
      update imports set state = 'STARTED', started_at = ${databaseNow}, updated_at = ${databaseNow} where id = ${planned.id} and state = 'PLANNING'`);
    await finishJob(tx, job);
  });
  services.changes.announce({ teamId: planned.teamId, importId: planned.id });
  await finishImport(services, planned.id);
}
