import { sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import type { Database, Transaction } from '../../db/client.ts';
import type { ClaimToken } from '../job.ts';
import { queryWithin } from './query-within.ts';

/**
 * Gives a job back to the queue without a failure, due at `runAt`, or at once with the place in the queue that it had.
 *
 * @returns false when the claim is over
 */
export async function releaseClaimed(
  db: Database | Transaction,
  { id, claim, owner }: ClaimToken,
  runAt?: Date,
): Promise<boolean> {
  const due = runAt === undefined ? sql`run_at` : sql`${runAt.toISOString()}::timestamptz`;
  const result = await db.execute(sql`
    update jobs set owner = null, lease_until = null, alone = false, run_at = ${due}
    where id = ${id} and claim = ${claim} and owner = ${owner}`);
  return result.rowCount === 1;
}

interface ReleaseManyOptions {
  readonly owner: string;
  readonly jobs: readonly ClaimToken[];
  /** After this many milliseconds without an answer the query fails and its connection is given up. */
  readonly timeoutMs: number;
}

// They keep their place in the queue, and the claim does not count as one: nobody has seen them at work.
const RELEASE_MANY = `
update jobs set owner = null, lease_until = null, claims = claims - 1
where id = any (array (select unnest($1::uuid[]))) and claim = any ($2::bigint[]) and owner = $3`;

/** Gives jobs back to the queue that were claimed and never started, as if they had not been; each fenced by its claim. */
export async function releaseUnstarted(pool: Pool, options: ReleaseManyOptions): Promise<void> {
  const { owner, timeoutMs } = options;
  const values = [options.jobs.map((job) => job.id), options.jobs.map((job) => job.claim), owner];
  await queryWithin(pool, { text: RELEASE_MANY, values, timeoutMs });
}
