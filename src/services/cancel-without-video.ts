import { transaction } from '../db/transaction.ts';
import type { ClaimedJob } from '../jobs/job.ts';
import { finishJob } from '../jobs/queue.ts';
import { cancelTasks } from './cancel-tasks.ts';
import type { Services } from './deps.ts';
import { lockOpenTask } from './end-task.ts';

/**
 * Ends a task as CANCELED, and its job, that was to index a video again which is gone: the task that was making the video was
 * canceled, and took it along. There is nothing to wait for.
 * @throws {LeaseLostError} when another worker has the job
 */
export async function cancelWithoutVideo(services: Services, job: ClaimedJob): Promise<void> {
  const task = await transaction(services.db, async (tx) => {
    const locked = await lockOpenTask(tx, job.subjectId);
    await finishJob(tx, job);
    if (locked) await cancelTasks(tx, [locked]);
    return locked;
  });
  if (task) services.changes.announce(task);
}
