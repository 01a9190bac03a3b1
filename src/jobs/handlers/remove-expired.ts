import { finishRecurringJob, REMOVE_EXPIRED } from '../../services/housekeeping-jobs.ts';
import { removeExpired } from '../../services/retention.ts';
import { removeExpired as definition } from '../definitions.ts';
import type { JobHandler } from '../handler.ts';
import type { HandlerDeps } from './deps.ts';

/** Removes, now and then, what is kept for a while only. */
export function createRemoveExpiredHandler(
  { services }: Pick<HandlerDeps, 'services'>,
  { retainDays }: { readonly retainDays: number },
): JobHandler<object> {
  return {
    definition,
    async run(job, { signal, log }) {
      const removed = await removeExpired(services, { retainDays, signal });
      if (Object.values(removed).some((count) => count > 0))
        log.info({ removed }, 'what is kept for a while only was removed');
      await finishRecurringJob(services, REMOVE_EXPIRED, job);
    },
  };
}
