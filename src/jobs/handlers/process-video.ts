import { beginIndexing, failProcessing, finishIndexing } from '../../services/index-task.ts';
import { processVideo as definition } from '../definitions.ts';
import type { JobHandler } from '../handler.ts';
import type { HandlerDeps } from './deps.ts';
import { makeProducts } from './make-products.ts';
import { toJobError } from './task-error.ts';
import { createTaskHooks } from './task-hooks.ts';

/** Makes products of one stored video and takes it into its index. */
export function createProcessVideoHandler(deps: HandlerDeps): JobHandler<object> {
  const { services } = deps;
  return {
    definition,
    ...createTaskHooks(deps, failProcessing),
    async run(job, { signal }) {
      const task = await beginIndexing(services, job);
      if (!task) return;
      try {
        const made = await makeProducts(deps, { job, task, signal });
        await finishIndexing(services, job, made);
      } catch (error) {
        signal.throwIfAborted();
        throw toJobError(error);
      }
    },
  };
}
