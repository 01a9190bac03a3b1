import type { Pool } from 'pg';
import type { ClaimedJob } from '../job.ts';
import { CLAIMED_COLUMNS, type ClaimedRow, toClaimedJob } from './claimed-row.ts';
import { queryWithin } from './query-within.ts';

interface ClaimSuspectOptions {
  readonly kinds: readonly string[];
  readonly owner: string;
  readonly leaseSeconds: number;
  readonly timeoutMs: number;
}

// As in claim.ts, over the index jobs_suspects, which is empty nearly always.
const CLAIM_SUSPECT = `
with candidates as materialized (
  select id from jobs
  where owner is null and lost_leases >= 3 and run_at <= now() and kind = any ($1)
  order by run_at, id
  limit 1
  for update skip locked
)
update jobs j
set owner = $2, lease_until = now() + $3 * interval '1 second', claim = nextval('job_claims'), claims = j.claims + 1
from candidates c
where j.id = c.id
returning ${CLAIMED_COLUMNS}`;

/** Takes the next due job that lost its lease too often to run beside others, or nothing. */
export async function claimSuspect(
  pool: Pool,
  options: ClaimSuspectOptions,
): Promise<ClaimedJob | undefined> {
  const { kinds, owner, leaseSeconds, timeoutMs } = options;
  const values = [kinds, owner, leaseSeconds];
  const rows = await queryWithin<ClaimedRow>(pool, { text: CLAIM_SUSPECT, values, timeoutMs });
  return rows.map(toClaimedJob)[0];
}
