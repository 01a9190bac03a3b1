import { type SQL, sql } from 'drizzle-orm';
import type { Database, Transaction } from '../../db/client.ts';
import type { ClaimedJob } from '../job.ts';
import { CLAIMED_COLUMNS, type ClaimedRow, toClaimedJob } from './claimed-row.ts';

/** A job to be stored; its payload has been parsed. */
export interface NewRow {
  readonly id: string;
  readonly subjectId: string;
  readonly teamId: string;
  readonly payload: unknown;
  readonly priority: number;
  readonly runAt: Date | null;
}

interface Claimant {
  readonly owner: string;
  readonly leaseSeconds: number;
}

// All rows as one parameter: Postgres takes 65,535 parameters a statement, which 10,000 rows exceed.
const rowsOf = (rows: readonly NewRow[]): SQL => sql`
  jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
    as r ("id" uuid, "subjectId" uuid, "teamId" uuid, "payload" jsonb, "priority" smallint, "runAt" timestamptz)`;

const due = sql.raw(`coalesce(r."runAt", date_trunc('milliseconds', now()))`);

/**
 * Inserts jobs of a kind in one statement, leaving out those whose subject has one already; gives the number
 * inserted. In the order of their subjects, so that two statements with the same subjects wait for each other
 * instead of ending in a deadlock.
 */
export async function insertJobs(
  db: Database | Transaction,
  kind: string,
  rows: readonly NewRow[],
): Promise<number> {
  const result = await db.execute(sql`
    insert into jobs (id, kind, subject_id, team_id, payload, priority, run_at)
    select r.id, ${kind}::text, r."subjectId", r."teamId", r.payload, r.priority, ${due} from ${rowsOf(rows)}
    order by r."subjectId"
    on conflict (kind, subject_id) do nothing`);
  return result.rowCount ?? 0;
}

/** Inserts a job that `owner` holds from the start. */
export async function insertClaimedJob(
  db: Database | Transaction,
  { kind, row, owner, leaseSeconds }: Claimant & { readonly kind: string; readonly row: NewRow },
): Promise<ClaimedJob> {
  const result = await db.execute<ClaimedRow>(sql`
    insert into jobs as j (id, kind, subject_id, team_id, payload, priority, run_at, claim, claims, owner, lease_until)
    select r.id, ${kind}::text, r."subjectId", r."teamId", r.payload, r.priority, ${due}, nextval('job_claims'), 1,
      ${owner}::uuid, now() + ${leaseSeconds}::float8 * interval '1 second'
    from ${rowsOf([row])}
    returning ${sql.raw(CLAIMED_COLUMNS)}`);
  const [inserted] = result.rows;
  if (inserted === undefined) throw new Error('a job was inserted, but its row did not come back');
  return toClaimedJob(inserted);
}
