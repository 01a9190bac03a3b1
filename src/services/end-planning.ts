import { sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { databaseNow } from '../db/tables/types.ts';
import type { ImportFault } from './import-fault.ts';

/** Planning is over: all is listed and judged, or `fault` says why the listing ended early. What was accepted goes on. */
export async function closePlanning(
  tx: Transaction,
  importId: string,
  fault: ImportFault | null,
): Promise<void> {
  const message = fault?.message ?? null;
  await tx.execute(sql`
    update imports set state = 'STARTED', listed = true, started_at = ${databaseNow}, updated_at = ${databaseNow},
           error_code = ${fault?.code ?? null},
           error_message = case when found = 0 then ${message}::text
             else 'The listing broke off after ' || found || ' files, which go on: ' || ${message}::text end
     where id = ${importId} and state = 'PLANNING'`);
}

/**
 * Ends a planning that failed for good. What has no verdict is rejected; where a listing was not at its end, the import
 * tells why, and how far it came.
 */
export async function failPlanning(
  tx: Transaction,
  { importId, teamId }: { readonly importId: string; readonly teamId: string },
  fault: ImportFault,
): Promise<void> {
  await tx.execute(sql`
    with undecided as (
      update import_entries set verdict = 'REJECTED' where import_id = ${importId} and verdict is null returning ordinal, input
    )
    insert into failed_files (id, team_id, import_id, ordinal, file_name, name, external_id, source_key, error_code, error_message, error_retryable)
    select gen_random_uuid(), ${teamId}, ${importId}, ordinal, input ->> 'fileName',
           coalesce(input ->> 'name', input ->> 'fileName'), input ->> 'externalId', input ->> 'key', 'INTERNAL',
           'The video could not be judged: something went wrong on our side, several times. Import it again.', true
      from undecided`);
  const { rows } = await tx.execute<{ listed: boolean }>(
    sql`select listed from imports where id = ${importId}`,
  );
  await closePlanning(tx, importId, rows[0]?.listed === false ? fault : null);
}
