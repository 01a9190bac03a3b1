import type { Pool } from 'pg';
import type { ClaimToken } from '../job.ts';
import { queryWithin } from './query-within.ts';

interface HeartbeatOptions {
  readonly owner: string;
  readonly held: readonly Pick<ClaimToken, 'id' | 'claim'>[];
  readonly leaseSeconds: number;
  readonly timeoutMs: number;
}

// Rows that a transaction holds just now (a handler's own last one, a sweep) are skipped: one of them must not keep
// the others from being extended. They are owned for as long as no committed change says otherwise, so `owned` is
// read without locks.
const HEARTBEAT = `
with owned as materialized (
  select j.id, j.claim from unnest($1::uuid[], $2::bigint[]) held (id, claim)
  join jobs j on j.id = held.id and j.claim = held.claim and j.owner = $3
), free as materialized (
  select j.id from jobs j join owned using (id, claim) where j.owner = $3 for update of j skip locked
), extended as (
  update jobs j set lease_until = now() + $4 * interval '1 second' from free where j.id = free.id
)
select claim::text as claim from owned`;

/** Extends the leases of all `held` jobs in one statement, by the database's clock; gives the claims still owned. */
export async function extendLeases(pool: Pool, options: HeartbeatOptions): Promise<ReadonlySet<string>> {
  const { owner, held, leaseSeconds, timeoutMs } = options;
  const values = [held.map((job) => job.id), held.map((job) => job.claim), owner, leaseSeconds];
  const rows = await queryWithin<{ claim: string }>(pool, { text: HEARTBEAT, values, timeoutMs });
  return new Set(rows.map((row) => row.claim));
}
