import { sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import type { Transaction } from '../../db/client.ts';
import type { ClaimedJob, ClaimToken } from '../job.ts';
import { CLAIMED_COLUMNS, type ClaimedRow, toClaimedJob } from './claimed-row.ts';
import { queryWithin } from './query-within.ts';

/** A job whose lease has run out. */
export interface ExpiredJob {
  readonly job: ClaimedJob;
  readonly alone: boolean;
  /** Place in the order of expiry, to read on from. */
  readonly leaseUntil: string;
}

interface ExpiredOptions {
  readonly kinds: readonly string[];
  /** The last job of the page before. */
  readonly after?: ExpiredJob | undefined;
  readonly limit: number;
  readonly timeoutMs: number;
}

// A page of the index jobs_leases, read without locks: whoever puts a job back locks its task first, then the job.
// Read in pages, so that jobs that cannot be put back never hide those behind them.
const EXPIRED = `
select ${CLAIMED_COLUMNS}, j.alone, j.lease_until::text as lease_until
from jobs j
where j.owner is not null and j.lease_until < now() and j.kind = any ($1)
  and (j.lease_until, j.id) > ($2::timestamptz, $3::uuid)
order by j.lease_until, j.id
limit $4`;

const FIRST = ['-infinity', '00000000-0000-0000-0000-000000000000'] as const;

/** Reads a page of the jobs whose lease has run out. */
export async function readExpired(pool: Pool, options: ExpiredOptions): Promise<ExpiredJob[]> {
  const { kinds, after, limit, timeoutMs } = options;
  const values = [kinds, ...(after === undefined ? FIRST : [after.leaseUntil, after.job.id]), limit];
  const rows = await queryWithin<ClaimedRow & { alone: boolean; lease_until: string }>(pool, {
    text: EXPIRED,
    values,
    timeoutMs,
  });
  return rows.map((row) => ({ job: toClaimedJob(row), alone: row.alone, leaseUntil: row.lease_until }));
}

/**
 * Keeps other sweeps away from the job until this transaction ends. The row itself is not locked yet: tasks are locked
 * before jobs, and the hook that locks them comes next. What decides is the fenced change at the end; this only
 * spares all sweeps but one the work.
 *
 * @returns false when another sweep has the job, the lease was extended or the claim is over
 */
export async function reserveForSweep(tx: Transaction, { id, claim, owner }: ClaimToken): Promise<boolean> {
  const result = await tx.execute<{ reserved: boolean }>(sql`
    select pg_try_advisory_xact_lock(hashtextextended(${`sluice:sweep:${id}`}, 0)) as reserved
    from jobs where id = ${id} and claim = ${claim} and owner = ${owner} and lease_until < now()`);
  return result.rows[0]?.reserved === true;
}

/**
 * Puts a job whose lease has run out back into the queue, with the place that it had: behind the backlog of its team it
 * would wait a second time. If it had its worker for itself, the lost lease is a crash too.
 *
 * @returns false when the lease was extended or the claim is over
 */
export async function putBackExpired(tx: Transaction, { id, claim, owner }: ClaimToken): Promise<boolean> {
  const result = await tx.execute(sql`
    update jobs set owner = null, lease_until = null, lost_leases = lost_leases + 1,
      crashes = crashes + alone::integer, alone = false
    where id = ${id} and claim = ${claim} and owner = ${owner} and lease_until < now()`);
  return result.rowCount === 1;
}

/** Deletes a job whose lease has run out; false when the lease was extended or the claim is over. */
export async function deleteExpired(tx: Transaction, { id, claim, owner }: ClaimToken): Promise<boolean> {
  const result = await tx.execute(sql`
    delete from jobs where id = ${id} and claim = ${claim} and owner = ${owner} and lease_until < now()`);
  return result.rowCount === 1;
}
