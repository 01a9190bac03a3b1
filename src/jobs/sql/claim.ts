import type { Pool } from 'pg';
import type { ClaimedJob } from '../job.ts';
import { CLAIMED_COLUMNS, type ClaimedRow, toClaimedJob } from './claimed-row.ts';
import { queryWithin } from './query-within.ts';

interface ClaimOptions {
  readonly kind: string;
  /** The most jobs to take. */
  readonly limit: number;
  readonly owner: string;
  readonly leaseSeconds: number;
  /** After this many milliseconds without an answer the query fails and its connection is given up. */
  readonly timeoutMs: number;
}

// The candidates are materialized: as a plain subquery they may be run again by a nested loop, and every run
// locks and takes `limit` more rows. An index scan of jobs_claimable gives them in order, a nested loop over its
// ids updates them; rows that somebody else is claiming are skipped without waiting.
const CLAIM = `
with candidates as materialized (
  select id from jobs
  where kind = $1 and owner is null and lost_leases < 3 and run_at <= now()
  order by priority, run_at, id
  limit $2
  for update skip locked
)
update jobs j
set owner = $3, lease_until = now() + $4 * interval '1 second', claim = nextval('job_claims'), claims = j.claims + 1
from candidates c
where j.id = c.id
returning ${CLAIMED_COLUMNS}`;

/** Takes at most `limit` due jobs of a kind for `owner`, each with a claim number of its own. */
export async function claimJobs(pool: Pool, options: ClaimOptions): Promise<ClaimedJob[]> {
  const { kind, limit, owner, leaseSeconds, timeoutMs } = options;
  const values = [kind, limit, owner, leaseSeconds];
  const rows = await queryWithin<ClaimedRow>(pool, { text: CLAIM, values, timeoutMs });
  return rows.map(toClaimedJob);
}
