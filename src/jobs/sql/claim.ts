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
  /** The team that had its turn last: those with greater ids come first. */
  readonly after?: string | undefined;
}

/** Word for word what the index jobs_claimable holds, and due. */
const DUE = 'j.kind collate "C" = $1 and j.owner is null and j.lost_leases < 3 and j.run_at <= now()';

// Teams first: `ring` goes from one team with due jobs to the next in the index jobs_claimable, from the one behind $5
// on and round to it again, one probe of the index for each, however many jobs it has. Then from each of them its
// share, in its own order, until there are enough; the ring is gone only as far as that takes. For the share the first
// fifty teams are counted. A few teams more than jobs are asked for, in case that others are just taking all that some
// of them have. Rows that somebody else is claiming are skipped without waiting.
//
// `array` is made once, whatever the plan: a subquery may be run again by a nested loop, and every run locks and takes
// more rows. It hides from the planner how many rows there are, as the share does: after a quiet time it knows of a few
// jobs only, and would rather read and sort all of a hundred thousand than follow the indexes.
const CLAIM = `
with recursive ring (team_id, place, first) as (
  select $5::uuid, 0, null::uuid
  union all
  select next.team_id, ring.place + 1, coalesce(ring.first, next.team_id)
  from ring cross join lateral (
    select coalesce(
      (select j.team_id from jobs j where ${DUE} and j.team_id > ring.team_id order by j.team_id limit 1),
      (select j.team_id from jobs j where ${DUE} order by j.team_id limit 1)
    ) as team_id
    offset 0
  ) next
  where ring.place < $2::int + 4 and next.team_id is distinct from ring.first
), share (jobs) as materialized (
  select ceil($2::float8 / least($2, count(*) - 1)) from (select from ring limit 51) first_teams having count(*) > 1
)
update jobs j
set owner = $3, lease_until = now() + $4 * interval '1 second', claim = nextval('job_claims'), claims = j.claims + 1
where j.id = any (array (
  select due.id
  from ring cross join lateral (
    select j.id from jobs j
    where ${DUE} and j.team_id = ring.team_id
    order by j.priority, j.run_at, j.id
    limit (select jobs from share)
    for update skip locked
  ) due
  where ring.place > 0
  limit $2
))
returning ${CLAIMED_COLUMNS}, date_part('epoch', j.run_at) as due`;

const NO_TEAM = '00000000-0000-0000-0000-000000000000';

type Row = ClaimedRow & { readonly due: number };

/**
 * Takes at most `limit` due jobs of a kind for `owner`, each with a claim number of its own: of each team the same
 * number, as far as it has so many. There may be more when it gives fewer than asked for, but not when it gives none.
 *
 * @returns the jobs team by team, from the one behind `after` on; those of a team in its order
 */
export async function claimJobs(pool: Pool, options: ClaimOptions): Promise<ClaimedJob[]> {
  const { kind, limit, owner, leaseSeconds, timeoutMs, after = NO_TEAM } = options;
  const values = [kind, limit, owner, leaseSeconds, after];
  const rows = await queryWithin<Row>(pool, { text: CLAIM, values, timeoutMs });
  // What an update returns has no order.
  return rows.sort((a, b) => compareTeams(a, b, after) || compareInTeam(a, b)).map(toClaimedJob);
}

function compareTeams(a: Row, b: Row, after: string): number {
  if (a.team_id === b.team_id) return 0;
  const wrapped = Number(a.team_id <= after) - Number(b.team_id <= after);
  return wrapped || (a.team_id < b.team_id ? -1 : 1);
}

function compareInTeam(a: Row, b: Row): number {
  return a.priority - b.priority || a.due - b.due || (a.id < b.id ? -1 : 1);
}

/** The team whose turn was the last one when these jobs were claimed: the last of those that got as many as any. */
export function lastTurn(jobs: readonly ClaimedJob[]): string {
  const counts = new Map<string, number>();
  for (const { teamId } of jobs) counts.set(teamId, (counts.get(teamId) ?? 0) + 1);
  const most = Math.max(...counts.values());
  return [...counts].findLast(([, count]) => count === most)?.[0] ?? NO_TEAM;
}
