import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ClaimedJob } from '../../src/jobs/job.ts';
import { enqueueMany } from '../../src/jobs/queue.ts';
import { claimJobs } from '../../src/jobs/sql/claim.ts';
import { count, enqueueCounts, openQueue, type Queue } from './support.ts';

const JOBS = 5000;
const CLAIMERS = 8;

let queue: Queue;
beforeAll(async () => {
  queue = await openQueue();
});
afterAll(() => queue.close());
beforeEach(async () => {
  await queue.pool.query('truncate jobs');
});

/** Claims until nothing is left, with a different batch size each time; gives each batch with what was asked for. */
async function claimAll(pool: pg.Pool, seed: number) {
  const batches: { limit: number; jobs: ClaimedJob[] }[] = [];
  const owner = randomUUID();
  for (let n = seed; ; n += 1) {
    const limit = 1 + ((n * 7) % 23);
    const jobs = await claimJobs(pool, { kind: 'count', limit, owner, leaseSeconds: 60, timeoutMs: 30_000 });
    if (jobs.length === 0) return batches;
    batches.push({ limit, jobs });
  }
}

describe.each([
  { plan: 'the usual plan', options: '' },
  {
    plan: 'nested loops forced',
    options:
      '-c enable_hashjoin=off -c enable_mergejoin=off -c enable_hashagg=off -c enable_sort=off -c enable_material=off -c enable_memoize=off',
  },
  { plan: 'sequential scans forced', options: '-c enable_indexscan=off -c enable_bitmapscan=off' },
])('with $plan', ({ options }) => {
  it('gives each job to one of eight claimers, and to none more than it asked for', async () => {
    await enqueueCounts(queue.db, JOBS);
    const pool = new pg.Pool({ connectionString: queue.url, max: CLAIMERS, options });
    const batches = (await Promise.all(Array.from({ length: CLAIMERS }, (_, n) => claimAll(pool, n)))).flat();
    await pool.end();
    for (const { limit, jobs } of batches) expect(jobs.length).toBeLessThanOrEqual(limit);
    const claimed = batches.flatMap(({ jobs }) => jobs);
    expect(claimed).toHaveLength(JOBS);
    expect(new Set(claimed.map((job) => job.id)).size).toBe(JOBS);
    expect(new Set(claimed.map((job) => job.claim)).size).toBe(JOBS);
    const owners = new Map(claimed.map((job) => [job.id, job.owner]));
    for (const row of await queue.rows()) expect(row.owner).toBe(owners.get(row.id));
  });
});

it('takes lower priorities first, then what is due longest, and nothing that is not due', async () => {
  const job = (n: number, priority: number, secondsAgo: number) => ({
    subjectId: randomUUID(),
    teamId: randomUUID(),
    payload: { n },
    priority,
    runAt: new Date(Date.now() - secondsAgo * 1000),
  });
  await enqueueMany(queue.db, count, [job(3, 1, 60), job(2, 0, 5), job(1, 0, 50), job(9, -1, -3600)]);
  const order: unknown[] = [];
  for (let n = 0; n < 4; n += 1) {
    const options = { kind: 'count', owner: randomUUID(), limit: 1, leaseSeconds: 60, timeoutMs: 5000 };
    order.push(...(await claimJobs(queue.pool, options)).map(({ payload }) => payload));
  }
  expect(order).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
});

it('leaves other kinds alone', async () => {
  await enqueueCounts(queue.db, 3);
  const options = { kind: 'other', owner: randomUUID(), limit: 5, leaseSeconds: 60, timeoutMs: 5000 };
  expect(await claimJobs(queue.pool, options)).toEqual([]);
});
