import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import type { JobHandler } from '../../src/jobs/handler.ts';
import type { Worker } from '../../src/jobs/worker.ts';
import {
  count,
  deferred,
  enqueueOf,
  localSignal,
  openQueue,
  type Queue,
  testWorker,
  until,
} from './support.ts';

type Counted = z.infer<typeof count.schema>;

const PLACES = 5;

let queue: Queue;
let worker: Worker | undefined;
beforeEach(async () => {
  queue = await openQueue();
});
afterEach(async () => {
  await worker?.stopNow();
  await queue.close();
});

const [large, small] = [randomUUID(), randomUUID()];

/** A worker whose jobs take `ms` milliseconds; notes the team of each start. */
function startWorker(ms: number) {
  const starts: string[] = [];
  const signal = localSignal();
  const handler: JobHandler<Counted> = {
    definition: count,
    run: async ({ teamId }) => {
      starts.push(teamId);
      await new Promise((resolve) => setTimeout(resolve, ms));
    },
  };
  worker = testWorker(queue, [handler], { signal, concurrency: { count: PLACES }, pollSeconds: 30 });
  worker.start();
  return { starts, signal };
}

describe('a team with one job', () => {
  it.each([1, 20])('does not wait behind ten thousand of another, of %i ms each', async (ms) => {
    await enqueueOf(queue.db, large, 10_000);
    const { starts, signal } = startWorker(ms);
    // Long enough for the worker to know how fast they go, and to claim ahead.
    await until(() => starts.length > 300);
    await enqueueOf(queue.db, small, 1);
    const before = starts.length;
    signal.wake('count');
    await until(() => starts.includes(small));
    const between = starts.indexOf(small) - before;
    // Jobs of 20 ms: two rounds of the places. Of 1 ms: what a claim takes to come back, many rounds, but no backlog.
    expect(between).toBeLessThanOrEqual(ms === 20 ? 2 * PLACES : 1000);
  });
});

describe('two teams with long queues', () => {
  it.each([0, 5, 20])('get half of the starts each when jobs take %i ms', async (ms) => {
    await enqueueOf(queue.db, large, 3000);
    await enqueueOf(queue.db, small, 500);
    const { starts } = startWorker(ms);
    await until(() => starts.length >= 400);
    const share = starts.slice(0, 400).filter((team) => team === small).length / 400;
    expect(share).toBeGreaterThan(0.45);
    expect(share).toBeLessThan(0.55);
  });
});

describe('a team alone', () => {
  it('gets all places', async () => {
    await enqueueOf(queue.db, large, 50);
    const gate = deferred();
    const run = () => gate.promise;
    worker = testWorker(queue, [{ definition: count, run }], { concurrency: { count: PLACES } });
    worker.start();
    await until(() => worker?.running() === PLACES);
    gate.resolve();
    await until(async () => (await queue.rows()).length === 0);
  });
});
