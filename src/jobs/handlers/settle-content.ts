import { longestWaiting } from '../../services/content-claims.ts';
import { finishImport } from '../../services/finish-import.ts';
import { settleWaitingTask } from '../../services/settle-waiting-task.ts';
import { settleContent as definition } from '../definitions.ts';
import type { JobHandler } from '../handler.ts';
import type { HandlerDeps } from './deps.ts';

/** Decides about the tasks that waited for another task's same content, oldest first, until one of them holds it or none waits. */
export function createSettleContentHandler({
  services,
}: HandlerDeps): JobHandler<{ indexId: string; sha256: string }> {
  return {
    definition,
    async run(job, { signal }) {
      for (;;) {
        signal.throwIfAborted();
        const taskId = await longestWaiting(services.db, job.payload);
        if (taskId === null) return;
        const task = await settleWaitingTask(services, taskId);
        if (task === 'WAITS') return;
        if (task?.importId) await finishImport(services, task.importId);
      }
    },
  };
}
