import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { WorkerStoppedError } from '../../src/jobs/errors.ts';
import type { JobHandler, JobHandlers } from '../../src/jobs/handler.ts';
import type { Worker, WorkerOptions } from '../../src/jobs/worker.ts';
import {
  aborted,
  count,
  deferred,
  enqueueCounts,
  localSignal,
  openQueue,
  type Queue,
  testWorker,
  until,
} from './support.ts';

type Counted = z.infer<typeof count.schema>;

let queue: Queue;
let worker: Worker;
beforeEach(async () => {
  queue = await openQueue();
});
afterEach(async () => {
  await worker.stopNow();
  await queue.close();
});

function start(handlers: JobHandlers, options: Partial<WorkerOptions> = {}): Worker {
  worker = testWorker(queue, handlers, options);
  worker.start();
  return worker;
}

describe('stop', () => {
  it('lets jobs end within the grace and claims no more', async () => {
    await enqueueCounts(queue.db, 20);
    const gate = deferred();
    let runs = 0;
    const run = async () => {
      runs += 1;
      await gate.promise;
    };
    const worker = start([{ definition: count, run }], { concurrency: { count: 3 } });
    await until(() => worker.running() === 3);
    const stopped = worker.stop();
    gate.resolve();
    await stopped;
    expect(runs).toBe(3);
    expect((await queue.rows()).filter((row) => row.owner === null && row.claims === 0)).toHaveLength(17);
    expect(await queue.rows()).toHaveLength(17);
  });

  it('hands back what does not end in time, without a failure, and wakes the others', async () => {
    await enqueueCounts(queue.db, 3);
    const reasons: unknown[] = [];
    await queue.pool.query('create table released (claims int, why text, waits bool)');
    const signal = localSignal();
    const handler: JobHandler<Counted> = {
      definition: count,
      run: async (_job, { signal }) =>
        aborted(signal).catch((reason) => Promise.reject(reasons.push(reason))),
      onReleased: async (tx, job, why, wait) => {
        await tx.execute(`insert into released values (${job.claims}, '${why}', ${wait !== undefined})`);
      },
    };
    const worker = start([handler], { signal, graceSeconds: 0.2 });
    await until(() => worker.running() === 3);
    const woken: unknown[] = [];
    signal.onWake((kind) => woken.push(kind));
    await worker.stop();
    expect(reasons).toEqual(Array(3).fill(expect.any(WorkerStoppedError)));
    const released = await queue.pool.query('select * from released');
    expect(released.rows).toEqual(Array(3).fill({ claims: 1, why: 'STOPPED', waits: false }));
    expect(woken).toContain('count');
    const expected = { owner: null, claims: 1, failures: 0, crashes: 0, lost_leases: 0 };
    expect(await queue.rows()).toEqual(Array(3).fill(expect.objectContaining(expected)));
    const { rows } = await queue.pool.query('select count(*)::int as due from jobs where run_at <= now()');
    expect(rows).toEqual([{ due: 3 }]);
  });

  it('is cut short by stopNow', async () => {
    await enqueueCounts(queue.db, 1);
    const worker = start([{ definition: count, run: (_job, { signal }) => aborted(signal) }], {
      graceSeconds: 600,
    });
    await until(() => worker.running() === 1);
    const stopped = worker.stop();
    await worker.stopNow();
    await stopped;
    expect(await queue.row()).toMatchObject({ owner: null, failures: 0 });
  });

  it('hands back a job that does not heed its signal, whose later end changes nothing', async () => {
    await enqueueCounts(queue.db, 1);
    const gate = deferred();
    const ended = deferred();
    const run = async () => {
      await gate.promise;
      setTimeout(ended.resolve, 200);
    };
    const worker = start([{ definition: count, run }]);
    await until(() => worker.running() === 1);
    await worker.stopNow();
    const handedBack = await queue.row();
    expect(handedBack).toMatchObject({ owner: null, failures: 0 });
    gate.resolve();
    await ended.promise;
    await until(() => worker.running() === 0);
    expect(await queue.row()).toEqual(handedBack);
  });
});
