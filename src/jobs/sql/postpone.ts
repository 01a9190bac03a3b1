import { sql } from 'drizzle-orm';
import type { Database } from '../../db/client.ts';
import type { ClaimToken } from '../job.ts';

/** A job that is to go back to the queue, and for how many seconds. */
export interface Postponed {
  readonly job: ClaimToken;
  readonly seconds: number;
}

/** Puts jobs back as if they had not been claimed, each due so much later and fenced by its claim; in the order of their ids. */
export async function releaseUntil(db: Database, postponed: readonly Postponed[]): Promise<void> {
  const rows = postponed.map(({ job: { id, claim, owner }, seconds }) => ({ id, claim, owner, seconds }));
  await db.execute(sql`
    with wanted as materialized (
      select j.id, r.seconds from jobs j
        join jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as r (id uuid, claim bigint, owner uuid, seconds float8)
          on j.id = r.id and j.claim = r.claim and j.owner = r.owner
       order by j.id for update of j
    )
    update jobs j set owner = null, lease_until = null, alone = false, claims = j.claims - 1,
      run_at = date_trunc('milliseconds', now() + w.seconds * interval '1 second')
      from wanted w where j.id = w.id`);
}
