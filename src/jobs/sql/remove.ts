import { sql } from 'drizzle-orm';
import type { Transaction } from '../../db/client.ts';

/** Deletes the jobs of these kinds and subjects, claimed or not; locked in the order of their ids first. */
export async function deleteJobsOf(
  tx: Transaction,
  kinds: readonly string[],
  subjectIds: readonly string[],
): Promise<void> {
  await tx.execute(sql`
    with locked as materialized (
      select id from jobs where kind = any(${sql.param(kinds)}::text[]) and subject_id = any(${sql.param(subjectIds)}::uuid[])
       order by id for update
    )
    delete from jobs j using locked l where j.id = l.id`);
}
