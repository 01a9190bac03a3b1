import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { jitter } from './backoff.ts';
import type { ClaimToken } from './job.ts';
import { pause } from './pause.ts';
import { releaseUnstarted } from './sql/release.ts';

const FIRST_PAUSE_MS = 200;
const MAX_PAUSE_MS = 5000;

interface GiveBackOptions {
  readonly pool: Pool;
  readonly owner: string;
  readonly timeoutMs: number;
  readonly log: Logger;
  /** Aborted when there is no time left to wait for the database: the leases run out instead. */
  readonly giveUp: AbortSignal;
}

/**
 * Gives back jobs that were claimed and not started, and tries again until the database has taken that. Whether it
 * had taken it before does not matter: the second time finds other claims, or none. Never rejects.
 */
export async function giveBack(jobs: readonly ClaimToken[], options: GiveBackOptions): Promise<void> {
  const { pool, owner, timeoutMs, log, giveUp } = options;
  for (let pauseMs = FIRST_PAUSE_MS; jobs.length > 0; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    try {
      return await releaseUnstarted(pool, { owner, jobs, timeoutMs });
    } catch (error) {
      log.warn({ err: error, jobs: jobs.length }, 'jobs could not be given back yet');
    }
    if (giveUp.aborted) return;
    await pause(jitter(pauseMs), giveUp);
  }
}
