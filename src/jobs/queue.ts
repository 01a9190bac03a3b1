import { type SQL, sql } from 'drizzle-orm';
import type { Database, Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import type { JobDefinition } from './define.ts';
import { LeaseLostError } from './errors.ts';
import type { ClaimedJob, ClaimToken, Job } from './job.ts';
import { lockClaimed } from './sql/assert-claim.ts';
import { insertClaimedJob, insertJobs, type NewRow } from './sql/enqueue.ts';
import { deleteClaimed } from './sql/finish.ts';
import { hasClaim } from './sql/holds-claim.ts';
import { type Postponed, releaseUntil } from './sql/postpone.ts';
import { releaseClaimed } from './sql/release.ts';
import { deleteJobsOf } from './sql/remove.ts';

export { createJobSignal, type JobSignal } from './signal.ts';

/** The kinds of what was enqueued in transactions, for as long as somebody knows the transaction. */
const enqueuedKinds = new WeakMap<object, Set<string>>();

/** A job to be enqueued. */
export interface NewJob<P> {
  /** What the job is about: a subject has at most one job of a kind. */
  readonly subjectId: string;
  readonly teamId: string;
  readonly payload: P;
  /** When it is due; at once if not given. */
  readonly runAt?: Date;
  /** −32,768 to 32,767, lower first; 0 if not given. */
  readonly priority?: number;
}

/**
 * Enqueues a job in the caller's transaction, after whose commit the caller wakes the workers.
 *
 * @returns false when the subject has a job of this kind already, which stays as it is
 * @throws ZodError when the payload does not fit the definition
 */
export async function enqueue<P>(
  tx: Database | Transaction,
  definition: JobDefinition<P>,
  job: NewJob<P>,
): Promise<boolean> {
  return (await enqueueMany(tx, definition, [job])) === 1;
}

/**
 * Enqueues any number of jobs in one statement of the caller's transaction; a subject that has a job of this kind
 * already keeps that one.
 *
 * @returns how many were inserted
 * @throws ZodError when a payload does not fit the definition; nothing is inserted then
 */
export async function enqueueMany<P>(
  tx: Database | Transaction,
  definition: JobDefinition<P>,
  jobs: readonly NewJob<P>[],
): Promise<number> {
  if (jobs.length === 0) return 0;
  if (jobs.some(({ runAt }) => runAt === undefined)) note(tx, definition.kind);
  return insertJobs(
    tx,
    definition.kind,
    jobs.map((job) => toRow(definition, job)),
  );
}

function note(tx: object, kind: string): void {
  const kinds = enqueuedKinds.get(tx);
  if (kinds) kinds.add(kind);
  else enqueuedKinds.set(tx, new Set([kind]));
}

/**
 * The kinds of which something was enqueued in a transaction that is due at once: whom to wake after its commit. A wake-up
 * makes every worker look for jobs of that kind, so that one for nothing costs as much as one for a job.
 */
export function enqueuedIn(tx: Transaction): readonly string[] {
  return [...(enqueuedKinds.get(tx) ?? [])];
}

/**
 * Enqueues a job that this process holds from the start, for a first run outside the worker's loop. The caller ends
 * it by `finishJob` or `releaseJob`; within the lease, or with the lease kept by a worker (`adopt`).
 *
 * @throws ZodError when the payload does not fit the definition; an error of the database when the subject has a
 *   job of this kind already
 */
export async function enqueueClaimed<P>(
  tx: Database | Transaction,
  definition: JobDefinition<P>,
  { owner, leaseSeconds, ...job }: NewJob<P> & { readonly owner: string; readonly leaseSeconds: number },
): Promise<Job<P>> {
  const row = toRow(definition, job);
  const claimed = await insertClaimedJob(tx, { kind: definition.kind, row, owner, leaseSeconds });
  return { ...claimed, payload: definition.schema.parse(claimed.payload) };
}

/**
 * Ends a job as part of the caller's transaction: its last write and the end of the job are committed together.
 *
 * @param after what follows in the same statement, if anything: a change by the subject_id of `ended`, the job's row
 * @throws LeaseLostError when this acquisition is over; the transaction must be rolled back then
 */
export async function finishJob(tx: Transaction, job: ClaimedJob, after?: SQL): Promise<void> {
  if (!(await deleteClaimed(tx, job, after))) throw new LeaseLostError(job);
  job.finished = true;
}

/**
 * Gives a job back to the queue, due at once, without a failure. The caller wakes the workers afterwards.
 *
 * @throws LeaseLostError when this acquisition is over
 */
export async function releaseJob(db: Database | Transaction, job: ClaimToken): Promise<void> {
  if (!(await releaseClaimed(db, job))) throw new LeaseLostError(job);
}

/**
 * Gives jobs back to the queue that turned out to be too early, all in one statement and without a trace of this claim. Those
 * whose acquisition is over stay as they are. Nothing is left to acknowledge.
 */
export async function postponeJobs(
  db: Database,
  postponed: readonly (Postponed & { readonly job: ClaimedJob })[],
): Promise<void> {
  await releaseUntil(db, postponed);
  for (const { job } of postponed) job.finished = true;
}

/**
 * Removes the jobs of these kinds and subjects, whoever holds them: their claims are over with the commit. Comes after the
 * locks on import and tasks.
 */
export async function removeJobs(
  tx: Transaction,
  definitions: readonly Pick<JobDefinition<unknown>, 'kind'>[],
  subjectIds: readonly string[],
): Promise<void> {
  await deleteJobsOf(
    tx,
    definitions.map(({ kind }) => kind),
    subjectIds,
  );
}

/**
 * Locks the job's row until the caller's transaction ends: what is written until then is written by the holder of
 * the job. Comes after the locks on import and tasks, before those on videos.
 *
 * @throws LeaseLostError when this acquisition is over
 */
export async function assertClaim(tx: Transaction, job: ClaimToken): Promise<void> {
  if (!(await lockClaimed(tx, job))) throw new LeaseLostError(job);
}

/**
 * The same as a condition of a statement that changes what the caller has locked already: it holds for the holder of the job
 * alone, and its row is locked until the transaction ends. Where the condition has kept the change from being made, the claim
 * is over.
 */
export function whileClaimed({ id, claim, owner }: ClaimToken): SQL {
  return sql`exists (select from jobs where id = ${id} and claim = ${claim} and owner = ${owner} for update)`;
}

/** Whether a claim is not over. It may be by the time that the caller hears of it: what is written is fenced by `assertClaim`. */
export async function holdsClaim(db: Database, job: ClaimToken): Promise<boolean> {
  return await hasClaim(db, job);
}

function toRow<P>(definition: JobDefinition<P>, job: NewJob<P>): NewRow {
  return {
    id: uuidv7(),
    subjectId: job.subjectId,
    teamId: job.teamId,
    payload: definition.schema.parse(job.payload),
    priority: job.priority ?? 0,
    runAt: job.runAt ?? null,
  };
}
