import { failTask } from '../../services/end-task.ts';
import { settleTask } from '../../services/settle-task.ts';
import { beginTransfer, beginValidation } from '../../services/transfer-task.ts';
import { transferVideo as definition } from '../definitions.ts';
import type { JobHandler } from '../handler.ts';
import type { ClaimedJob } from '../job.ts';
import { copyIn } from './copy-in.ts';
import type { HandlerDeps } from './deps.ts';
import { toJobError } from './task-error.ts';
import { createTaskHooks } from './task-hooks.ts';
import { validate } from './validate.ts';

/** Brings one video's bytes in, checks them and decides what becomes of the task. */
export function createTransferVideoHandler(deps: HandlerDeps): JobHandler<object> {
  const { services, progress } = deps;
  const hooks = createTaskHooks(deps, failTask);
  const handedOn = new WeakSet<ClaimedJob>();
  return {
    definition,
    ...hooks,
    async afterCommit(job) {
      // Its next job looks at the import when it has ended; its watchers have been told.
      if (handedOn.has(job)) progress.forget(job.subjectId);
      else await hooks.afterCommit(job);
    },
    async run(job, { signal }) {
      const transfer = await beginTransfer(services, job);
      if (!transfer) return;
      try {
        const copied = await copyIn(deps, { job, transfer, signal });
        await beginValidation(services, job, { task: transfer.task, copied });
        const metadata = await validate(deps, { transfer, copied, signal });
        if (await settleTask(services, job, metadata)) handedOn.add(job);
      } catch (error) {
        signal.throwIfAborted();
        throw toJobError(error);
      }
    },
  };
}
