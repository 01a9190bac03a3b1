import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ClaimedJob } from '../../src/jobs/job.ts';
import { enqueueMany } from '../../src/jobs/queue.ts';
import { claimJobs, lastTurn } from '../../src/jobs/sql/claim.ts';
import { count, enqueueCounts, enqueueOf, openQueue, type Queue } from './support.ts';

const CLAIMERS = 8;
const TEAMS = 30;

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
    const limit = 1 + ((n * 7) % 123);
    const jobs = await claimJobs(pool, { kind: 'count', limit, owner, leaseSeconds: 60, timeoutMs: 30_000 });
    if (jobs.length === 0) return batches;
    batches.push({ limit, jobs });
  }
}

describe.each([
  { plan: 'the usual plan', jobs: 20_000, options: '' },
  {
    plan: 'nested loops forced',
    jobs: 20_000,
    options:
      '-c enable_hashjoin=off -c enable_mergejoin=off -c enable_hashagg=off -c enable_sort=off -c enable_material=off -c enable_memoize=off',
  },
  // Each claim reads all of the table then.
  {
    plan: 'sequential scans forced',
    jobs: 1000,
    options: '-c enable_indexscan=off -c enable_bitmapscan=off',
  },
])('with $plan', ({ jobs, options }) => {
  it('gives each job to one of eight claimers, and to none more than it asked for', async () => {
    for (let n = 0; n < TEAMS; n += 1) await enqueueOf(queue.db, randomUUID(), Math.ceil(jobs / TEAMS));
    const total = TEAMS * Math.ceil(jobs / TEAMS);
    const pool = new pg.Pool({ connectionString: queue.url, max: CLAIMERS, options });
    const batches = (await Promise.all(Array.from({ length: CLAIMERS }, (_, n) => claimAll(pool, n)))).flat();
    await pool.end();
    for (const { limit, jobs } of batches) expect(jobs.length).toBeLessThanOrEqual(limit);
    const claimed = batches.flatMap(({ jobs }) => jobs);
    expect(claimed).toHaveLength(total);
    expect(new Set(claimed.map((job) => job.id)).size).toBe(total);
    expect(new Set(claimed.map((job) => job.claim)).size).toBe(total);
    const owners = new Map(claimed.map((job) => [job.id, job.owner]));
    for (const row of await queue.rows()) expect(row.owner).toBe(owners.get(row.id));
  });
});

it('takes of a team lower priorities first, then what is due longest, and nothing that is not due', async () => {
  const teamId = randomUUID();
  const job = (n: number, priority: number, secondsAgo: number) => ({
    subjectId: randomUUID(),
    teamId,
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

describe('teams', () => {
  const claim = (limit: number, after?: string) =>
    claimJobs(queue.pool, {
      kind: 'count',
      limit,
      owner: randomUUID(),
      leaseSeconds: 60,
      timeoutMs: 5000,
      after,
    });
  const countOf = (jobs: readonly ClaimedJob[], team: string) =>
    jobs.filter(({ teamId }) => teamId === team).length;

  it('get the same number of jobs each, whatever they have queued and however few are claimed at once', async () => {
    const [large, small] = [randomUUID(), randomUUID()];
    await enqueueOf(queue.db, large, 5000);
    await enqueueOf(queue.db, small, 300);
    for (const limit of [1, 2, 3, 7, 10]) {
      const jobs: ClaimedJob[] = [];
      let after: string | undefined;
      while (jobs.length < 100) {
        const claimed = await claim(limit, after);
        after = lastTurn(claimed);
        jobs.push(...claimed);
      }
      expect(countOf(jobs, small) / jobs.length).toBeGreaterThan(0.45);
      expect(countOf(jobs, small) / jobs.length).toBeLessThan(0.55);
    }
  });

  it('get all that is asked for when they are alone, or when the others have little', async () => {
    const [large, small] = [randomUUID(), randomUUID()];
    await enqueueOf(queue.db, large, 1000);
    expect(await claim(100)).toHaveLength(100);
    await enqueueOf(queue.db, small, 2);
    const jobs = [...(await claim(100)), ...(await claim(100))];
    expect([countOf(jobs, small), countOf(jobs, large)]).toEqual([2, 150]);
  });

  it('are all found, those that come after many and those with one job each', async () => {
    await enqueueCounts(queue.db, 700);
    expect(await claim(300)).toHaveLength(300);
    expect(await claim(500)).toHaveLength(400);
    expect(await claim(1)).toEqual([]);
  });

  it('that have nothing due, or only suspects, hide nobody', async () => {
    const runAt = new Date(Date.now() + 3_600_000);
    const later = Array.from({ length: 200 }, () => ({
      subjectId: randomUUID(),
      teamId: randomUUID(),
      payload: { n: 1 },
      runAt,
    }));
    await enqueueMany(queue.db, count, later);
    await enqueueCounts(queue.db, 100);
    await queue.pool.query('update jobs set lost_leases = 3 where run_at <= now()');
    const team = randomUUID();
    await enqueueOf(queue.db, team, 3);
    const jobs = await claim(10);
    expect([jobs.length, countOf(jobs, team)]).toEqual([3, 3]);
  });
});
