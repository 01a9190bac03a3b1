import { finishRecurringJob, SWEEP_STORAGE } from '../../services/housekeeping-jobs.ts';
import { sweepStorage } from '../../services/sweep-storage.ts';
import { StorageError } from '../../storage/adapter.ts';
import { sweepStorage as definition } from '../definitions.ts';
import { TransientError } from '../errors.ts';
import type { JobHandler } from '../handler.ts';
import type { HandlerDeps } from './deps.ts';

interface SweepDeps extends Pick<HandlerDeps, 'storage'> {
  readonly services: Pick<HandlerDeps['services'], 'db'>;
}

/** Removes from the storage, now and then, what nobody knows of any more. */
export function createSweepStorageHandler({ services, storage }: SweepDeps): JobHandler<object> {
  return {
    definition,
    async run(job, { signal, log }) {
      const removed = await sweepStorage({ db: services.db, storage }, { signal }).catch((error: unknown) => {
        throw error instanceof StorageError ? new TransientError(error.message, { cause: error }) : error;
      });
      if (removed > 0) log.info({ removed }, 'orphaned objects were removed from the storage');
      await finishRecurringJob(services, SWEEP_STORAGE, job);
    },
  };
}
