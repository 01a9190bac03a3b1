import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createNotifications } from '../../src/db/notifications.ts';
import { transaction } from '../../src/db/transaction.ts';
import { defineJob } from '../../src/jobs/define.ts';
import { LeaseLostError } from '../../src/jobs/errors.ts';
import type { JobHandler, JobHandlers } from '../../src/jobs/handler.ts';
import { enqueue, enqueueClaimed, enqueueMany, finishJob, releaseJob } from '../../src/jobs/queue.ts';
import { createJobSignal } from '../../src/jobs/signal.ts';
import type { Worker, WorkerOptions } from '../../src/jobs/worker.ts';
import {
  aborted,
  count,
  deferred,
  enqueueCounts,
  localSignal,
  log,
  openQueue,
  type Queue,
  testWorker,
  until,
} from './support.ts';

type Counted = z.infer<typeof count.schema>;

let queue: Queue;
let workers: Worker[] = [];
beforeEach(async () => {
  queue = await openQueue();
});
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.stopNow()));
  workers = [];
  await queue.close();
});

function start(handlers: JobHandlers, options: Partial<WorkerOptions> = {}): Worker {
  const worker = testWorker(queue, handlers, options);
  workers.push(worker);
  worker.start();
  return worker;
}

const isEmpty = async () => (await queue.rows()).length === 0;

describe('workers', () => {
  it('run each of 5,000 jobs once between eight of them', async () => {
    await enqueueCounts(queue.db, 5000);
    const runs: number[] = [];
    const handler: JobHandler<Counted> = {
      definition: count,
      run: async (job) => void runs.push(job.payload.n),
    };
    for (let n = 0; n < 8; n += 1) start([handler]);
    await until(isEmpty, { seconds: 50, what: 'an empty queue' });
    expect(runs.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 5000 }, (_, n) => n));
  });

  it('run no more jobs of a kind at once than allowed, and all that are allowed', async () => {
    const other = defineJob({ kind: 'other', schema: z.object({}) });
    const never = defineJob({ kind: 'never', schema: z.object({}) });
    const now = new Map<string, number>();
    const most = new Map<string, number>();
    const gate = deferred();
    const track = async ({ kind }: { kind: string }) => {
      now.set(kind, (now.get(kind) ?? 0) + 1);
      most.set(kind, Math.max(most.get(kind) ?? 0, now.get(kind) ?? 0));
      await gate.promise;
      await new Promise((resolve) => setImmediate(resolve));
      now.set(kind, (now.get(kind) ?? 0) - 1);
    };
    await enqueueCounts(queue.db, 40);
    const someJobs = () =>
      Array.from({ length: 20 }, () => ({ subjectId: randomUUID(), teamId: randomUUID(), payload: {} }));
    await enqueueMany(queue.db, other, someJobs());
    await enqueueMany(queue.db, never, someJobs());
    const handlers = [count, other, never].map((definition) => ({ definition, run: track }));
    const worker = start(handlers, { concurrency: { count: 5, other: 2, never: 0 } });
    await until(() => worker.running() === 7, { what: 'seven running jobs' });
    gate.resolve();
    await until(async () => (await queue.rows()).length === 20);
    expect(Object.fromEntries(most)).toEqual({ count: 5, other: 2 });
  });

  it('leave a job to the transaction of its handler that finished it', async () => {
    await queue.pool.query('create table done (n int)');
    await enqueueCounts(queue.db, 1);
    const commits: number[] = [];
    const handler: JobHandler<Counted> = {
      definition: count,
      run: async (job) => {
        await transaction(queue.db, async (tx) => {
          await tx.execute(`insert into done values (${job.payload.n})`);
          await finishJob(tx, job);
        });
      },
      afterCommit: async (job) => {
        commits.push((await queue.rows()).length, job.claims);
      },
    };
    start([handler]);
    await until(() => commits.length > 0);
    expect(commits).toEqual([0, 1]);
    expect((await queue.pool.query('select n from done')).rows).toEqual([{ n: 0 }]);
  });

  it('keep the lease of a job that runs for much longer than a lease', async () => {
    await enqueueCounts(queue.db, 1);
    const gate = deferred();
    let runs = 0;
    const run = async () => {
      runs += 1;
      await gate.promise;
    };
    // A busy machine may keep a process from its heartbeat for a while, but not for most of a lease.
    const options = { leaseSeconds: 6, sweepSeconds: 0.1 };
    start([{ definition: count, run }], options);
    start([{ definition: count, run }], options);
    const extended = new Set<number>();
    await until(async () => {
      extended.add((await queue.row()).lease_until?.getTime() ?? 0);
      return extended.size > 4;
    });
    gate.resolve();
    await until(isEmpty);
    expect(runs).toBe(1);
  });

  it('abort a job whose claim is over and write nothing for it', async () => {
    const [subject] = await enqueueCounts(queue.db, 1);
    const reasons: unknown[] = [];
    const hooks: string[] = [];
    const handler: JobHandler<Counted> = {
      definition: count,
      run: async (_job, { signal }) => {
        await aborted(signal).catch((reason) => reasons.push(reason));
        throw new Error('a consequence');
      },
      onRetry: async () => void hooks.push('retry'),
      onFailed: async () => void hooks.push('failed'),
      afterCommit: () => void hooks.push('commit'),
    };
    const worker = start([handler], { leaseSeconds: 6 });
    await until(() => worker.running() === 1);
    await queue.pool.query('delete from jobs where subject_id = $1', [subject]);
    await until(() => worker.running() === 0);
    expect(reasons).toEqual([expect.any(LeaseLostError)]);
    expect(hooks).toEqual([]);
  });

  it('keep the lease of a job that was adopted, and tell when it is over', async () => {
    const worker = start([{ definition: count, run: async () => {} }], {
      leaseSeconds: 3,
      sweepSeconds: 0.1,
    });
    const owned = { subjectId: randomUUID(), teamId: randomUUID(), payload: { n: 1 }, owner: worker.id };
    const job = await enqueueClaimed(queue.db, count, { ...owned, leaseSeconds: 3 });
    const lease = worker.adopt(job);
    const extended = new Set<number>();
    await until(async () => {
      extended.add((await queue.row()).lease_until?.getTime() ?? 0);
      return extended.size > 4;
    });
    expect(lease.signal.aborted).toBe(false);
    expect(await queue.row()).toMatchObject({ claim: job.claim, lost_leases: 0 });
    await releaseJob(queue.db, job);
    await until(() => lease.signal.aborted);
    expect(lease.signal.reason).toBeInstanceOf(LeaseLostError);
    lease.end();
    await until(isEmpty);
  });

  it('refuse two handlers for one kind', () => {
    const handler = { definition: count, run: async () => {} };
    expect(() => testWorker(queue, [handler, handler])).toThrow('same kind');
  });
});

describe('wake-ups', () => {
  const handlerOf = (onRun: () => void) => [{ definition: count, run: async () => onRun() }];
  const latency = async (options: Parameters<typeof start>[1], wake: () => void) => {
    const ran = deferred<number>();
    start(
      handlerOf(() => ran.resolve(performance.now())),
      options,
    );
    // The first look finds nothing; from then on only a wake-up or the poll leads to another.
    await queue.pool.query('select pg_sleep(0.3)');
    await enqueue(queue.db, count, { subjectId: randomUUID(), teamId: randomUUID(), payload: { n: 0 } });
    const before = performance.now();
    wake();
    return (await ran.promise) - before;
  };

  it('lead to a claim at once', async () => {
    const signal = localSignal();
    // And not at the next poll.
    expect(await latency({ signal, pollSeconds: 60 }, () => signal.wake('count'))).toBeLessThan(20_000);
  });

  it('reach the workers of another process', async () => {
    const connect = () => createNotifications({ connectionString: queue.url, pool: queue.pool, log });
    const [here, there] = [connect(), connect()];
    const signal = createJobSignal(there);
    // Its channel is listened to from the start, and not a moment after the worker's.
    signal.onWake(() => {});
    await Promise.all([here.start(), there.start()]);
    const wake = () => createJobSignal(here).wake('count');
    expect(await latency({ signal, pollSeconds: 60 }, wake)).toBeLessThan(20_000);
    await Promise.all([here.stop(), there.stop()]);
  });

  it('are not needed: the poll finds the job', async () => {
    const lost = localSignal({ lost: true });
    expect(await latency({ signal: lost, pollSeconds: 1 }, () => {})).toBeLessThan(20_000);
  });
});

describe('a database that goes away', () => {
  const endConnections = () =>
    queue.pool
      .query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'test'",
      )
      .catch(() => {});

  it('costs no job, no run and no worker', async () => {
    await enqueueCounts(queue.db, 3000);
    const runs: number[] = [];
    let cuts = 0;
    let left = 3000;
    // However fast they are, the jobs are not over before the fifth cut.
    const run: JobHandler<Counted>['run'] = async (job) => {
      runs.push(job.payload.n);
      await until(() => runs.length < (cuts + 1) * 500 || cuts > 4, { seconds: 120 });
      await new Promise((resolve) => setTimeout(resolve, 5));
    };
    // What a claim took whose answer got lost comes back when its lease has run out.
    for (let n = 0; n < 3; n += 1) start([{ definition: count, run }], { leaseSeconds: 2 });
    while (left > 0 && cuts < 12) {
      await endConnections();
      cuts += 1;
      // Cut off again before anything is done, as they would be on a busy machine at a fixed pace, they would never come to an end.
      const before = left;
      await until(async () => {
        left = await queue.pool.query('select from jobs').then(
          ({ rowCount }) => rowCount ?? 0,
          () => before,
        );
        return left < before;
      });
    }
    await until(isEmpty);
    expect(cuts).toBeGreaterThan(3);
    expect(new Set(runs).size).toBe(3000);
  });
});
