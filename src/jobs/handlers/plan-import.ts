import { failPlanning } from '../../services/end-planning.ts';
import { finishImport } from '../../services/finish-import.ts';
import { type ImportFault, listingFault } from '../../services/import-fault.ts';
import { planImport } from '../../services/plan-import.ts';
import { SourceError } from '../../sources/errors.ts';
import { planImport as definition } from '../definitions.ts';
import { PermanentError, TransientError } from '../errors.ts';
import type { JobHandler } from '../handler.ts';
import type { HandlerDeps } from './deps.ts';
import { toJobError } from './task-error.ts';

/** Lists and judges what startImport had no time for. Should that fail for good, what was accepted by then goes on. */
export function createPlanImportHandler({ services }: HandlerDeps): JobHandler<object> {
  return {
    definition,
    async run(job, { signal }) {
      try {
        const over = await planImport(services, job, { signal });
        if (!over) signal.throwIfAborted();
      } catch (error) {
        signal.throwIfAborted();
        throw toJobError(error);
      }
    },
    async onFailed(tx, job, failure) {
      await failPlanning(tx, { importId: job.subjectId, teamId: job.teamId }, faultOf(failure.error));
    },
    async afterCommit(job) {
      services.changes.announce({ teamId: job.teamId, importId: job.subjectId });
      await finishImport(services, job.subjectId);
    },
  };
}

/** What ended the planning: the source, when it could not be listed for so long; anything else is ours. */
function faultOf(error: unknown): ImportFault {
  const cause = error instanceof TransientError || error instanceof PermanentError ? error.cause : error;
  return cause instanceof SourceError
    ? listingFault(cause)
    : { code: 'INTERNAL', message: 'Something went wrong on our side, several times. Import it again.' };
}
