import type { ProductName } from '../db/tables/products.ts';
import { transaction } from '../db/transaction.ts';
import { LeaseLostError } from '../jobs/errors.ts';
import type { ClaimedJob } from '../jobs/job.ts';
import { assertClaim } from '../jobs/queue.ts';
import type { Services } from './deps.ts';
import { lockOpenTask, moveTask } from './end-task.ts';
import { type ProductEnd, withEnds } from './publish-products.ts';
import { beginStage, indexingFraction } from './stages.ts';

/** What has become of stages of a task since that was noted last. */
export interface StageChanges {
  readonly begun: ReadonlyMap<ProductName, Date>;
  readonly ends: ReadonlyMap<ProductName, ProductEnd>;
}

/**
 * Notes which stages of a task in INDEXING have begun and ended.
 * @throws {LeaseLostError} when another worker has the job, or the task is not where this attempt left it
 */
export async function noteStages(
  services: Pick<Services, 'db' | 'changes'>,
  job: ClaimedJob,
  { begun, ends }: StageChanges,
): Promise<void> {
  const task = await transaction(services.db, async (tx) => {
    const locked = await lockOpenTask(tx, job.subjectId);
    if (locked?.status !== 'INDEXING') throw new LeaseLostError(job);
    let { stages } = locked;
    for (const [name, at] of begun) stages = beginStage(stages, name, at);
    const after = withEnds({ ...locked, stages }, { ends: Object.fromEntries(ends) });
    await moveTask(tx, locked, {
      stages: after.stages,
      fraction: Math.max(locked.fraction, indexingFraction(after.stages, {})),
    });
    await assertClaim(tx, job);
    return locked;
  });
  services.changes.announce(task);
}
