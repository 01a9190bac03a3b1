import { sql } from 'drizzle-orm';
import type { Database, Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { imports } from '../db/tables/imports.ts';
import { transaction } from '../db/transaction.ts';
import { planImport as planImportJob } from '../jobs/definitions.ts';
import { LeaseLostError } from '../jobs/errors.ts';
import type { ClaimedJob } from '../jobs/job.ts';
import { enqueueClaimed, releaseJob } from '../jobs/queue.ts';
import type { Services } from './deps.ts';
import { IdempotencyConflictError, NotFoundError } from './errors.ts';
import { planImport } from './plan-import.ts';
import { fromPublicId } from './public-ids.ts';
import { hashInput, parseStartImport, type StartImport, type VideoInput } from './start-import-input.ts';
import { limitTime } from './time-limit.ts';
import type { Viewer } from './viewer.ts';

/**
 * Starts an import: stores every entry and the plan-import job in one transaction, then plans for as long as the time
 * budget lasts. What is undecided then is judged by a worker.
 * @param input as the API takes it, not checked yet
 * @returns the row id of the import: a new one, or that of the first call with the same idempotency key
 * @throws {InvalidInputError} with everything that is wrong; nothing is stored
 * @throws {NotFoundError} when an id names nothing that the viewer reaches
 * @throws {IdempotencyConflictError} when the idempotency key was used with another input
 */
export async function startImport(services: Services, viewer: Viewer, input: unknown): Promise<string> {
  const parsed = parseStartImport(input);
  const target = await findTarget(services.db, viewer, parsed);
  const stored = await storeImport(services, target, parsed);
  if (stored.job === null) return stored.importId;
  services.changes.announce({ teamId: target.teamId, importId: stored.importId });
  await planWithinBudget(services, stored.job);
  return stored.importId;
}

interface Target {
  readonly teamId: string;
  readonly indexId: string;
}

async function findTarget(db: Database, viewer: Viewer, input: StartImport): Promise<Target> {
  const teamId = input.teamId == null ? null : fromPublicId('Team', input.teamId);
  if (input.teamId != null && (teamId === null || !viewer.teamIds.includes(teamId)))
    throw new NotFoundError('team', ['input', 'teamId']);
  if (input.indexId == null) {
    const row = await db.query.indexes.findFirst({
      where: { teamId: teamId ?? viewer.defaultTeamId, isDefault: true },
    });
    if (!row) throw new Error('a team has no default index');
    return { teamId: row.teamId, indexId: row.id };
  }
  const id = fromPublicId('Index', input.indexId);
  const row =
    id === null
      ? undefined
      : await db.query.indexes.findFirst({ where: { id, teamId: { in: [...viewer.teamIds] } } });
  if (!row || (teamId !== null && row.teamId !== teamId))
    throw new NotFoundError('index', ['input', 'indexId']);
  return { teamId: row.teamId, indexId: row.id };
}

interface Stored {
  readonly importId: string;
  /** The plan-import job, claimed by this process; null when a call before this one has made the import. */
  readonly job: ClaimedJob | null;
}

async function storeImport(services: Services, target: Target, input: StartImport): Promise<Stored> {
  const { videos, systemName } = input.from.videos;
  return await transaction(services.db, async (tx) => {
    const importId = uuidv7();
    const used = input.idempotencyKey == null ? null : await findUsedKey(tx, target.teamId, input);
    if (used) return { importId: used, job: null };
    await tx.insert(imports).values({
      id: importId,
      ...target,
      systemName,
      incremental: input.incremental,
      metadata: input.metadata ?? null,
      found: videos.length,
    });
    if (input.idempotencyKey != null) await useKey(tx, { teamId: target.teamId, importId, input });
    await insertEntries(tx, { importId, teamId: target.teamId, videos });
    const job = await enqueueClaimed(tx, planImportJob, {
      subjectId: importId,
      teamId: target.teamId,
      payload: {},
      owner: services.owner,
      leaseSeconds: services.leaseSeconds,
    });
    return { importId, job };
  });
}

/** The import that this key was used for; calls with the same key wait here for one another. */
async function findUsedKey(tx: Transaction, teamId: string, input: StartImport): Promise<string | null> {
  await tx.execute(
    sql`select pg_advisory_xact_lock(hashtextextended(${`${teamId} ${input.idempotencyKey}`}, 0))`,
  );
  const { rows } = await tx.execute<{ import_id: string; input_hash: string }>(sql`
    select import_id, input_hash from idempotency_keys where team_id = ${teamId} and key = ${input.idempotencyKey}`);
  const [row] = rows;
  if (!row) return null;
  if (row.input_hash !== hashInput(input)) throw new IdempotencyConflictError();
  return row.import_id;
}

async function useKey(
  tx: Transaction,
  options: { readonly teamId: string; readonly importId: string; readonly input: StartImport },
): Promise<void> {
  const { teamId, importId, input } = options;
  await tx.execute(sql`
    insert into idempotency_keys (team_id, key, input_hash, import_id)
    values (${teamId}, ${input.idempotencyKey}, ${hashInput(input)}, ${importId})`);
}

/** Stores the entries; an external id that occurs again in the same call is rejected on the spot. */
async function insertEntries(
  tx: Transaction,
  options: { readonly importId: string; readonly teamId: string; readonly videos: readonly VideoInput[] },
): Promise<void> {
  const rows = JSON.stringify(
    options.videos.map((video, ordinal) => ({ ordinal, input: withoutNulls(video) })),
  );
  await tx.execute(sql`
    insert into import_entries (import_id, ordinal, input)
    select ${options.importId}, ordinal, input from jsonb_to_recordset(${rows}::jsonb) as r(ordinal int, input jsonb)`);
  const seen = new Set<string>();
  const repeated = options.videos.flatMap((video, ordinal) => {
    const again = seen.has(video.externalId);
    seen.add(video.externalId);
    return again ? [{ ordinal, id: uuidv7() }] : [];
  });
  if (repeated.length === 0) return;
  await tx.execute(sql`
    with repeated as (
      update import_entries e set verdict = 'REJECTED'
        from jsonb_to_recordset(${JSON.stringify(repeated)}::jsonb) as r(ordinal int, id uuid)
       where e.import_id = ${options.importId} and e.ordinal = r.ordinal
      returning r.id, e.ordinal, e.input
    )
    insert into failed_files (id, team_id, import_id, ordinal, file_name, name, external_id, error_code, error_message, error_retryable)
    select id, ${options.teamId}, ${options.importId}, ordinal, input ->> 'fileName', coalesce(input ->> 'name', input ->> 'fileName'),
           input ->> 'externalId', 'DUPLICATE_IN_REQUEST',
           'The same externalId occurs earlier in this request. Each video may be named once.', false
      from repeated order by ordinal`);
}

const withoutNulls = (video: VideoInput) =>
  Object.fromEntries(Object.entries(video).filter(([, value]) => value !== null));

/** Plans until planning is over or the time is up; then hands the job to the workers. */
async function planWithinBudget(services: Services, job: ClaimedJob): Promise<void> {
  const lease = services.keepLease(job);
  const budget = limitTime(lease.signal, services.planSeconds * 1000);
  try {
    const over = await planImport(services, job, { signal: budget.signal });
    if (over) return;
  } catch (error) {
    if (error instanceof LeaseLostError) return;
    // The import is stored: what could not be judged now, a worker judges.
    services.log.error({ err: error, importId: job.subjectId }, 'planning goes on in a worker');
  } finally {
    budget.end();
    lease.end();
  }
  try {
    await releaseJob(services.db, job);
  } catch (error) {
    // A job that cannot be given back now comes back when its lease runs out.
    if (!(error instanceof LeaseLostError))
      services.log.error({ err: error, importId: job.subjectId }, 'the plan-import job was not given back');
  }
  services.jobs.wake(planImportJob.kind);
}
