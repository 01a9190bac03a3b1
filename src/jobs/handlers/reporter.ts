import type { ProgressReport } from '../../events/progress.ts';
import type { TaskRow } from '../../services/end-task.ts';
import type { ClaimedJob } from '../job.ts';

/** Who reports about which task, under which claim. */
export const reporterOf = (
  job: ClaimedJob,
  task: TaskRow,
): Pick<ProgressReport, 'taskId' | 'importId' | 'teamId' | 'jobId' | 'claim' | 'attempt'> => ({
  taskId: task.id,
  importId: task.importId,
  teamId: task.teamId,
  jobId: job.id,
  claim: job.claim,
  attempt: task.attempts,
});
