import { randomUUID } from 'node:crypto';
import { claimJobs } from '../../dist/jobs/sql/claim.js';
import { openQueue } from './sluice.mjs';
import { percentile, times } from './support.mjs';

const SIZE = 10;
const CLAIMS = 400;
const WARM_UP = 30;

/**
 * How long claims of ten jobs take while that many are queued, in milliseconds: what they take is put in again, with
 * the same teams, between two of them.
 */
export async function measureClaims(url, { queued, teams }) {
  const queue = await openQueue(url);
  try {
    await queue.clear();
    const teamIds = times(teams, () => randomUUID());
    await queue.enqueueNoops(queued, teamIds);
    await queue.pool.query('vacuum analyze jobs');
    const figures = [];
    let after;
    for (let n = 0; n < WARM_UP + CLAIMS; n += 1) {
      const options = {
        kind: 'noop',
        limit: SIZE,
        owner: randomUUID(),
        leaseSeconds: 30,
        timeoutMs: 30_000,
        after,
      };
      const begin = performance.now();
      const jobs = await claimJobs(queue.pool, options);
      if (n >= WARM_UP) figures.push(performance.now() - begin);
      if (jobs.length !== SIZE) throw new Error(`a claim gave ${jobs.length} jobs`);
      after = jobs.at(-1).teamId;
      await queue.pool.query('delete from jobs where id = any ($1::uuid[])', [jobs.map(({ id }) => id)]);
      await queue.enqueueNoops(
        SIZE,
        jobs.map(({ teamId }) => teamId),
      );
    }
    return { p50: percentile(figures, 50), p99: percentile(figures, 99) };
  } finally {
    await queue.close();
  }
}
