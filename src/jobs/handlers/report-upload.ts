import { overallFraction } from '../../services/stages.ts';
import type { Transfer } from '../../services/transfer-task.ts';
import type { ClaimedJob } from '../job.ts';
import type { HandlerDeps } from './deps.ts';
import { reporterOf } from './reporter.ts';

interface Figures {
  /** 0 to 1. */
  readonly stageFraction: number;
  readonly bytesDone: number;
  readonly bytesTotal: number | null;
}

/** Reports how far the stage UPLOAD of a task is. */
export function reportUpload(
  { progress }: Pick<HandlerDeps, 'progress'>,
  { job, transfer: { task } }: { readonly job: ClaimedJob; readonly transfer: Transfer },
  { stageFraction, bytesDone, bytesTotal }: Figures,
): void {
  progress.report({
    ...reporterOf(job, task),
    stage: 'UPLOAD',
    stageFraction,
    fraction: overallFraction(task.stages, 'UPLOAD', stageFraction),
    bytesDone,
    bytesTotal,
  });
}
