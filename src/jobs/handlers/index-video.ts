import { beginPlainIndexing, failIndexing, finishIndexing } from '../../services/index-task.ts';
import { indexVideo as definition } from '../definitions.ts';
import type { JobHandler } from '../handler.ts';
import type { HandlerDeps } from './deps.ts';
import { createTaskHooks } from './task-hooks.ts';

/** Takes one stored video into its index. */
export function createIndexVideoHandler(deps: HandlerDeps): JobHandler<object> {
  const { services } = deps;
  return {
    definition,
    ...createTaskHooks(deps, failIndexing),
    async run(job) {
      if (await beginPlainIndexing(services, job)) await finishIndexing(services, job, null);
    },
  };
}
