import { type SQL, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import type { Database, Transaction } from '../../db/client.ts';
import type { ClaimToken } from '../job.ts';
import { queryWithin } from './query-within.ts';

/**
 * Deletes a job that is over. Fenced by the claim alone: a lease that has run out does not matter for as long as
 * nobody took the job back.
 *
 * @param after a change that follows, by the row of `ended`; it locks its own rows after the job's
 * @returns false when the claim is over
 */
export async function deleteClaimed(
  db: Database | Transaction,
  { id, claim, owner }: ClaimToken,
  after?: SQL,
): Promise<boolean> {
  const deletion = sql`delete from jobs where id = ${id} and claim = ${claim} and owner = ${owner}`;
  const result = await db.execute(
    after === undefined
      ? deletion
      : sql`with ended as (${deletion} returning subject_id), after as (${after}) select from ended`,
  );
  return result.rowCount === 1;
}

interface DeleteManyOptions {
  readonly owner: string;
  readonly jobs: readonly ClaimToken[];
  /** After this many milliseconds without an answer the query fails and its connection is given up. */
  readonly timeoutMs: number;
}

// A claim number belongs to one acquisition of one job, so that each row is fenced by its own. `array` hides from the
// planner how many there are: it scans the primary key, in its order, so that two such statements lock rows in the same
// order.
const DELETE_MANY = `
with done as (
  delete from jobs where id = any (array (select unnest($1::uuid[]))) and claim = any ($2::bigint[]) and owner = $3 returning claim
)
select claim::text as claim from unnest($2::bigint[]) as asked (claim)
where (select count(*) from done) < cardinality($2) and claim not in (select claim from done)`;

/** Deletes jobs that are over, in one statement; gives the claims that are over already, whose jobs it left alone. */
export async function deleteManyClaimed(
  pool: Pool,
  options: DeleteManyOptions,
): Promise<ReadonlySet<string>> {
  const { owner, timeoutMs } = options;
  const values = [options.jobs.map((job) => job.id), options.jobs.map((job) => job.claim), owner];
  const rows = await queryWithin<{ claim: string }>(pool, { text: DELETE_MANY, values, timeoutMs });
  return new Set(rows.map((row) => row.claim));
}
