import { sql } from 'drizzle-orm';
import { databaseNow } from '../../db/tables/types.ts';
import { finishImport } from '../../services/finish-import.ts';
import { planImport } from '../../services/plan-import.ts';
import { planImport as definition } from '../definitions.ts';
import type { JobHandler } from '../handler.ts';
import type { HandlerDeps } from './deps.ts';

/** Judges what startImport had no time for. Should that fail for good, what was accepted by then goes on. */
export function createPlanImportHandler({ services }: HandlerDeps): JobHandler<object> {
  return {
    definition,
    async run(job, { signal }) {
      const over = await planImport(services, job, { signal });
      if (!over) signal.throwIfAborted();
    },
    async onFailed(tx, job) {
      await tx.execute(sql`
        with undecided as (
          update import_entries set verdict = 'REJECTED' where import_id = ${job.subjectId} and verdict is null returning ordinal, input
        )
        insert into failed_files (id, team_id, import_id, ordinal, file_name, name, external_id, error_code, error_message, error_retryable)
        select gen_random_uuid(), ${job.teamId}, ${job.subjectId}, ordinal, input ->> 'fileName',
               coalesce(input ->> 'name', input ->> 'fileName'), input ->> 'externalId', 'INTERNAL',
               'The video could not be judged: something went wrong on our side, several times. Import it again.', true
          from undecided`);
      await tx.execute(sql`
        update imports set state = 'STARTED', started_at = ${databaseNow}, updated_at = ${databaseNow} where id = ${job.subjectId} and state = 'PLANNING'`);
    },
    async afterCommit(job) {
      services.changes.announce({ teamId: job.teamId, importId: job.subjectId });
      await finishImport(services, job.subjectId);
    },
  };
}
