import { cancelWithoutVideo } from '../../services/cancel-without-video.ts';
import { beginIndexing, failProcessing, finishIndexing, VideoGoneError } from '../../services/index-task.ts';
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
      try {
        const task = await beginIndexing(services, job);
        if (!task) return;
        const made = await makeProducts(deps, { job, task, signal });
        await finishIndexing(services, job, made);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof VideoGoneError) return await cancelWithoutVideo(services, job);
        throw toJobError(error);
      }
    },
  };
}
