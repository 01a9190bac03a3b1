import { requeueEnded } from '../../services/retry.ts';
import { retryImport as definition } from '../definitions.ts';
import type { JobHandler } from '../handler.ts';
import type { HandlerDeps } from './deps.ts';

/** Queues what a call of retryImport had no time for. */
export function createRetryImportHandler({
  services,
}: HandlerDeps): JobHandler<{ readonly endedBefore: string }> {
  return {
    definition,
    async run(job, { signal }) {
      const over = await requeueEnded(services, job, { signal });
      if (!over) signal.throwIfAborted();
    },
  };
}
