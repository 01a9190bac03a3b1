import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import type { JobHandler } from '../../src/jobs/handler.ts';
import type { ClaimedJob } from '../../src/jobs/job.ts';
import { createPace } from '../../src/jobs/pace.ts';
import { claimJobs } from '../../src/jobs/sql/claim.ts';
import { deleteManyClaimed } from '../../src/jobs/sql/finish.ts';
import { releaseUnstarted } from '../../src/jobs/sql/release.ts';
import type { Worker } from '../../src/jobs/worker.ts';
import {
  aborted,
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

const OWNER = randomUUID();
const TEAM = randomUUID();

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

const claim = (limit: number) =>
  claimJobs(queue.pool, { kind: 'count', limit, owner: OWNER, leaseSeconds: 60, timeoutMs: 5000 });

async function countWhere(condition: string): Promise<number> {
  const { rows } = await queue.pool.query<{ count: number }>(
    `select count(*)::int as count from jobs where ${condition}`,
  );
  return rows[0]?.count ?? 0;
}

/**
 * A worker that has seen many fast jobs, and then one that runs until `gate` is opened on each of its two places, with
 * the rest of 2,000 jobs behind them.
 */
async function startFastThenStuck() {
  await enqueueOf(queue.db, TEAM, 2000);
  const gate = deferred();
  const started: number[] = [];
  const handler: JobHandler<Counted> = {
    definition: count,
    run: async ({ payload }, { signal }) => {
      started.push(payload.n);
      if (started.length > 400) await Promise.race([gate.promise, aborted(signal)]);
    },
  };
  const worker = testWorker(queue, [handler], { concurrency: { count: 2 }, leaseSeconds: 30 });
  workers.push(worker);
  worker.start();
  await until(() => started.length === 402, { what: 'two jobs that do not end' });
  return { worker, gate, started };
}

describe('jobs claimed ahead', () => {
  it('are many for fast jobs, and none for slow ones, after one slow one, or before anything is known', () => {
    const pace = createPace();
    expect(pace.ahead(10)).toBe(0);
    for (let n = 0; n < 100; n += 1) pace.note(0.1);
    expect(pace.ahead(10)).toBeGreaterThanOrEqual(200);
    pace.note(2000);
    expect(pace.ahead(10)).toBe(0);
    for (let n = 0; n < 15; n += 1) pace.note(0.1);
    expect(pace.ahead(10)).toBe(0);
  });

  it('do not wait behind slow ones: they go back to the queue, as if they had not been claimed', async () => {
    const { worker, gate, started } = await startFastThenStuck();
    // Those of a claim that was on its way come later, and are given back like the others.
    const untouched = 'owner is null and claims = 0 and lost_leases = 0';
    await until(async () => (await countWhere(untouched)) === 2000 - 402, { what: 'all others given back' });
    await until(async () => (await countWhere('owner is not null')) === 2, {
      what: 'two jobs that are held',
    });
    await until(() => worker.running() === 2);
    gate.resolve();
    await until(async () => (await countWhere('true')) === 0);
    expect(started.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 2000 }, (_, n) => n));
  });

  it('are all given back by a stop, as if they had not been claimed, and others are told', async () => {
    await enqueueOf(queue.db, TEAM, 3000);
    const signal = localSignal();
    const woken: unknown[] = [];
    let starts = 0;
    const full = deferred();
    const handler = {
      definition: count,
      run: async (_job: unknown, { signal }: { signal: AbortSignal }) => {
        starts += 1;
        if (starts === 500) full.resolve();
        if (starts >= 500) await aborted(signal);
      },
    };
    const worker = testWorker(queue, [handler], {
      signal,
      concurrency: { count: 2 },
      leaseSeconds: 30,
      graceSeconds: 0.1,
    });
    workers.push(worker);
    worker.start();
    await full.promise;
    signal.onWake((kind) => woken.push(kind));
    await worker.stop();
    expect(woken).toContain('count');
    expect(await countWhere('owner is not null')).toBe(0);
    // The two that ran have had one claim, all others none; the claim numbers are used up all the same.
    expect(await countWhere('claims = 1 and failures = 0')).toBe(starts - 499);
    expect(await countWhere('claims = 0')).toBe(3000 - starts);
    expect(await countWhere('run_at > now() or failures + crashes + lost_leases > 0')).toBe(0);
    const [again] = await claim(1);
    expect(BigInt(again?.claim ?? 0)).toBeGreaterThanOrEqual(BigInt(starts));
  });

  it('are given back each by its own claim', async () => {
    await enqueueOf(queue.db, TEAM, 100);
    const jobs = await claim(100);
    await queue.pool.query("update jobs set claim = nextval('job_claims') where id = $1", [jobs[3]?.id]);
    await releaseUnstarted(queue.pool, { owner: OWNER, jobs: jobs.slice(0, 40), timeoutMs: 5000 });
    expect(await countWhere('owner is null and claims = 0')).toBe(39);
    expect(await countWhere('owner is not null and claims = 1')).toBe(61);
  });
});

describe('ends of many jobs', () => {
  const stale = (job: ClaimedJob | undefined): ClaimedJob => {
    if (job === undefined) throw new Error('no job');
    return job;
  };

  it('are stored in one statement, each by its own claim', async () => {
    await enqueueOf(queue.db, TEAM, 103);
    const jobs = await claim(103);
    const [retaken, stolen, gone] = [stale(jobs[17]), stale(jobs[50]), stale(jobs[99])];
    await queue.pool.query("update jobs set claim = nextval('job_claims') where id = $1", [retaken.id]);
    await queue.pool.query('update jobs set owner = gen_random_uuid() where id = $1', [stolen.id]);
    await queue.pool.query('delete from jobs where id = $1', [gone.id]);
    const over = await deleteManyClaimed(queue.pool, { owner: OWNER, jobs, timeoutMs: 5000 });
    expect(over).toEqual(new Set([retaken.claim, stolen.claim, gone.claim]));
    expect((await queue.rows()).map(({ id }) => id).toSorted()).toEqual([retaken.id, stolen.id].toSorted());
  });

  it('are told one by one: afterCommit for those that are stored, nothing for one whose claim is over', async () => {
    await enqueueOf(queue.db, TEAM, 100);
    const committed: string[] = [];
    const gate = deferred();
    let running = 0;
    const handler = {
      definition: count,
      run: async () => {
        running += 1;
        await gate.promise;
      },
      afterCommit: (job: ClaimedJob) => void committed.push(job.id),
    };
    const worker = testWorker(queue, [handler], { concurrency: { count: 100 }, leaseSeconds: 60 });
    workers.push(worker);
    worker.start();
    await until(() => running === 100);
    const rows = await queue.rows();
    const lost = rows[42]?.id;
    await queue.pool.query(
      "update jobs set claim = nextval('job_claims'), owner = gen_random_uuid() where id = $1",
      [lost],
    );
    gate.resolve();
    await until(() => worker.running() === 0);
    expect((await queue.rows()).map(({ id }) => id)).toEqual([lost]);
    expect(committed.toSorted()).toEqual(rows.map(({ id }) => id).filter((id) => id !== lost));
  });

  it('are stored one by one when the statement fails for another reason than the connection', async () => {
    await enqueueOf(queue.db, TEAM, 30);
    await queue.pool.query(`
      create function refuse_many() returns trigger language plpgsql as $$
      begin
        if (select count(*) from gone) > 1 then raise exception 'not so many'; end if;
        return null;
      end $$`);
    await queue.pool.query(
      'create trigger refuse_many after delete on jobs referencing old table as gone for each statement execute function refuse_many()',
    );
    const worker = testWorker(queue, [{ definition: count, run: async () => {} }], {
      concurrency: { count: 10 },
    });
    workers.push(worker);
    worker.start();
    await until(async () => (await queue.rows()).length === 0);
    await until(() => worker.running() === 0);
  });
});
