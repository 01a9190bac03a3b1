import { afterAll, beforeAll, expect, test } from 'vitest';
import { count, enqueueCounts, openQueue, type Queue, testWorker } from '../jobs/support.ts';
import { waitFor } from '../support/wait.ts';

const ROUND = 2_000;

let queue: Queue;

beforeAll(async () => {
  queue = await openQueue();
});

afterAll(async () => {
  await queue?.close();
});

test('tables that change all the time are cleaned soon, and leave room in their pages', async () => {
  const { rows } = await queue.pool.query(
    `select relname, relpersistence, reloptions from pg_class where relname in ('jobs', 'tasks', 'task_progress') order by relname`,
  );
  expect(rows).toEqual([
    {
      relname: 'jobs',
      relpersistence: 'p',
      reloptions: [
        'fillfactor=70',
        'autovacuum_vacuum_scale_factor=0.01',
        'autovacuum_vacuum_threshold=1000',
      ],
    },
    {
      relname: 'task_progress',
      relpersistence: 'u',
      reloptions: ['fillfactor=50', 'autovacuum_vacuum_scale_factor=0', 'autovacuum_vacuum_threshold=1000'],
    },
    {
      relname: 'tasks',
      relpersistence: 'p',
      reloptions: ['fillfactor=80', 'autovacuum_vacuum_scale_factor=0.02'],
    },
  ]);
});

test('finished jobs leave their table, and what can be claimed stays small however many there were', async () => {
  const worker = testWorker(queue, [{ definition: count, run: async () => {} } as never], {
    concurrency: { count: 50 },
  });
  const sizes: number[] = [];
  try {
    worker.start();
    for (let round = 0; round < 5; round += 1) {
      await enqueueCounts(queue.db, ROUND);
      await waitFor(async () => (await queue.rows()).length === 0, { what: 'the jobs to end' });
      // As autovacuum does from 1,000 dead rows on.
      await queue.pool.query('vacuum jobs');
      const { rows } = await queue.pool.query<{ size: number }>(
        `select pg_relation_size('jobs_claimable')::int as size`,
      );
      sizes.push(rows[0]?.size ?? 0);
    }
  } finally {
    await worker.stop();
  }
  const [first = 0] = sizes;
  // Pages that were emptied are used again one vacuum later.
  expect(Math.max(...sizes)).toBeLessThanOrEqual(3 * first);
});
