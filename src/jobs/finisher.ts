import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { Database } from '../db/client.ts';
import { isConnectionError } from '../db/connection-errors.ts';
import { type AcknowledgeOptions, acknowledge, callAfterCommit, leaseLost } from './acknowledge.ts';
import { jitter } from './backoff.ts';
import { pause } from './pause.ts';
import { deleteManyClaimed } from './sql/finish.ts';

const MOST_AT_ONCE = 1000;
const FIRST_PAUSE_MS = 200;
const MAX_PAUSE_MS = 5000;

type EndedRun = Pick<AcknowledgeOptions, 'handler' | 'job' | 'lease' | 'log'>;

interface Ended {
  readonly run: EndedRun;
  readonly onStored: () => void;
}

interface FinisherOptions {
  readonly db: Database;
  readonly pool: Pool;
  readonly owner: string;
  readonly timeoutMs: number;
  readonly log: Logger;
  /** Aborted when there is no time left to wait for the database: the leases run out instead. */
  readonly giveUp: AbortSignal;
}

/** Stores the ends of jobs whose handlers left that to the loop, those of many jobs in one statement. */
export interface Finisher {
  /**
   * Stores that a run has ended well: at once when nothing else is being stored, otherwise with all that end meanwhile.
   * `onStored` is called when that is in the database, or will not be, after the handler's `afterCommit`.
   */
  finish(run: EndedRun, onStored: () => void): void;
}

/** One statement at a time: a second would make both smaller. Never rejects, and tells of every job once. */
export function createFinisher(options: FinisherOptions): Finisher {
  let waiting: Ended[] = [];
  let isStoring = false;

  const storeAll = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, MOST_AT_ONCE);
      waiting = waiting.slice(MOST_AT_ONCE);
      await storeBatch(batch, options);
    }
    isStoring = false;
  };

  return {
    finish(run, onStored) {
      waiting.push({ run, onStored });
      if (isStoring) return;
      isStoring = true;
      // Not in the middle of a turn of the event loop: what else ends in it goes along.
      setImmediate(() => void storeAll());
    },
  };
}

async function storeBatch(batch: readonly Ended[], options: FinisherOptions): Promise<void> {
  const { db, pool, owner, timeoutMs, log, giveUp } = options;
  const jobs = batch.map(({ run }) => run.job);
  // A connection that broke during a statement does not tell whether the jobs were deleted.
  let maybeStored = false;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    try {
      const over = await deleteManyClaimed(pool, { owner, jobs, timeoutMs });
      for (const ended of batch) tell(ended, { db, isStored: maybeStored || !over.has(ended.run.job.claim) });
      return;
    } catch (error) {
      if (!isConnectionError(error)) return storeEach(batch, options);
      maybeStored = true;
      log.warn({ err: error, jobs: batch.length }, 'the ends of jobs could not be stored yet');
    }
    if (giveUp.aborted) break;
    await pause(jitter(pauseMs), giveUp);
  }
  for (const ended of batch) ended.onStored();
}

function tell(
  { run, onStored }: Ended,
  { db, isStored }: { readonly db: Database; readonly isStored: boolean },
): void {
  if (!isStored) void leaseLost({ ...partsOf(run), db }).then(onStored);
  else if (run.handler.afterCommit === undefined) onStored();
  else void callAfterCommit(run).then(onStored);
}

/** By name: a run makes its log when it is asked for, so that copying the run would leave that out. */
const partsOf = ({ handler, job, lease, log }: EndedRun): EndedRun => ({ handler, job, lease, log });

/** What keeps one job from being stored, such as a deadlock, must not keep the others from it. */
async function storeEach(batch: readonly Ended[], { db, giveUp }: FinisherOptions): Promise<void> {
  for (const { run, onStored } of batch) {
    await acknowledge({ type: 'FINISHED' }, { ...partsOf(run), db, giveUp });
    onStored();
  }
}
