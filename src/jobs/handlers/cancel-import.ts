import { cancelOpenTasks } from '../../services/cancel.ts';
import { cancelImport as definition } from '../definitions.ts';
import type { JobHandler } from '../handler.ts';
import type { HandlerDeps } from './deps.ts';

/** Ends what a call of cancelImport had no time for. */
export function createCancelImportHandler({ services }: HandlerDeps): JobHandler<object> {
  return {
    definition,
    async run(job, { signal }) {
      const over = await cancelOpenTasks(services, job, { signal });
      if (!over) signal.throwIfAborted();
    },
  };
}
