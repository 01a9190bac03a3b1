import type { StoredStage, taskProgress, tasks } from '../db/tables/tasks.ts';
import { advanceStages } from './stages.ts';

type TaskColumns = Pick<
  typeof tasks.$inferSelect,
  'fraction' | 'bytesDone' | 'bytesTotal' | 'attempts' | 'finishedAt' | 'progressedAt' | 'stages'
>;
/** A task's row with its progress, if it has any. */
export type TaskWithProgress = TaskColumns & { readonly live: typeof taskProgress.$inferSelect | null };

/** How far a task is; bytes of its transfer, seconds. */
export interface TaskProgress {
  readonly fraction: number;
  readonly bytesDone: number;
  readonly bytesTotal: number | null;
  readonly bytesPerSecond: number | null;
  readonly etaSeconds: number | null;
  readonly updatedAt: Date;
}

/** The progress that counts: of this attempt, of a task that has not ended. */
function currentProgress({ live, attempts, finishedAt }: TaskWithProgress) {
  return live !== null && finishedAt === null && live.attempt === attempts ? live : null;
}

/** The greater of what the task's row and its progress say: either may be written a moment before the other. */
export function progressOf(task: TaskWithProgress): TaskProgress {
  const live = currentProgress(task);
  const { fraction, bytesDone, bytesTotal, progressedAt } = task;
  if (live === null)
    return {
      fraction,
      bytesDone,
      bytesTotal,
      bytesPerSecond: null,
      etaSeconds: null,
      updatedAt: progressedAt,
    };
  return {
    fraction: Math.max(fraction, live.fraction),
    bytesDone: Math.max(bytesDone, live.bytesDone),
    bytesTotal: live.bytesTotal ?? bytesTotal,
    bytesPerSecond: live.bytesPerSecond,
    etaSeconds: live.etaSeconds,
    updatedAt: live.updatedAt > progressedAt ? live.updatedAt : progressedAt,
  };
}

/** A task's stages, those that run with their latest fractions. */
export function stagesOf(task: TaskWithProgress): readonly StoredStage[] {
  const live = currentProgress(task);
  return live === null ? task.stages : advanceStages(task.stages, live);
}
