import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { transaction } from '../../src/db/transaction.ts';
import { defineJob } from '../../src/jobs/define.ts';
import type { Failure, JobHandler } from '../../src/jobs/handler.ts';
import { enqueueMany, finishJob } from '../../src/jobs/queue.ts';
import type { Worker, WorkerOptions } from '../../src/jobs/worker.ts';
import { deferred, openQueue, type Queue, testWorker, until } from './support.ts';

const LEASE = 1;
const SWEEP = 0.4;
const times = { leaseSeconds: LEASE, sweepSeconds: SWEEP, pollSeconds: 0.1, retryBaseSeconds: 0.1 };
const definition = defineJob({
  kind: 'count',
  schema: z.object({ n: z.number(), behaviour: z.enum(['finish', 'hang', 'die', 'zombie']) }),
});
type Payload = z.infer<typeof definition.schema>;

let queue: Queue;
let children: ChildProcess[] = [];
let worker: Worker | undefined;
beforeEach(async () => {
  queue = await openQueue();
  await queue.pool.query(
    'create table runs (subject uuid, pid int, claims int, at timestamptz default now())',
  );
  await queue.pool.query('create table results (subject uuid, pid int)');
});
afterEach(async () => {
  await worker?.stopNow();
  worker = undefined;
  for (const child of children) child.kill('SIGKILL');
  children = [];
  await queue.close();
});

function spawnWorker(options: Partial<WorkerOptions> = {}): ChildProcess {
  const path = fileURLToPath(new URL('./worker-process.mjs', import.meta.url));
  const child = fork(path, [JSON.stringify({ url: queue.url, ...times, ...options })], { stdio: 'inherit' });
  children.push(child);
  return child;
}

async function enqueueSome(behaviours: readonly Payload['behaviour'][]): Promise<string[]> {
  const jobs = behaviours.map((behaviour, n) => ({
    subjectId: randomUUID(),
    teamId: randomUUID(),
    payload: { n, behaviour },
  }));
  await enqueueMany(queue.db, definition, jobs);
  return jobs.map((job) => job.subjectId);
}

/** A worker in this process that finishes every job with a result; tells which hooks were called. */
function startHealthyWorker(): string[] {
  const hooks: string[] = [];
  const handler: JobHandler<Payload> = {
    definition,
    run: async (job) => {
      await queue.pool.query('insert into runs (subject, pid, claims) values ($1, $2, $3)', [
        job.subjectId,
        process.pid,
        job.claims,
      ]);
      await transaction(queue.db, async (tx) => {
        await tx.execute(`insert into results values ('${job.subjectId}', ${process.pid})`);
        await finishJob(tx, job);
      });
    },
    onReleased: async (_tx, job, why) => void hooks.push(`${why} ${job.subjectId}`),
  };
  worker = testWorker(queue, [handler], times);
  worker.start();
  return hooks;
}

/** As if the leases that are held had lasted for long enough. */
const expireLeases = () =>
  queue.pool.query("update jobs set lease_until = now() - interval '1 second' where owner is not null");

const countRuns = async (pid?: number) =>
  (await queue.pool.query('select * from runs where $1::int is null or pid = $1', [pid ?? null])).rowCount ??
  0;

describe('a worker that is killed', () => {
  it('is noticed within lease and sweep, and its jobs are done once by another', async () => {
    for (let round = 0; round < 4; round += 1) {
      await queue.pool.query('truncate runs, results');
      const subjects = await enqueueSome(['hang', 'hang', 'hang', 'hang']);
      const doomed = spawnWorker();
      await until(async () => (await countRuns(doomed.pid)) === 4, { what: 'four running jobs' });
      const hooks = startHealthyWorker();
      // At any point of the heartbeat.
      await queue.pool.query('select pg_sleep(random() * $1)', [LEASE]);
      const { rows: killed } = await queue.pool.query<{ at: Date }>('select clock_timestamp() as at');
      doomed.kill('SIGKILL');
      await until(async () => (await queue.rows()).length === 0, { what: 'the end of all jobs' });
      const { rows } = await queue.pool.query(
        'select extract(epoch from max(at) - $1::timestamptz)::float8 as seconds from runs where pid = $2',
        [killed[0]?.at, process.pid],
      );
      // Beside these it takes a worker no time, but for what a busy machine adds; the usual times are 30 and 5 s.
      expect(rows[0].seconds).toBeLessThan(LEASE + SWEEP + 15);
      const results = await queue.pool.query<{ subject: string }>('select subject from results');
      expect(results.rows.map((row) => row.subject).toSorted()).toEqual(subjects.toSorted());
      // Once each, or again where a busy machine had kept it from its heartbeat before, and it has taken its job back itself.
      expect([...new Set(hooks)].toSorted()).toEqual(
        subjects.map((subject) => `LEASE_LOST ${subject}`).toSorted(),
      );
      await worker?.stop();
    }
  });
});

describe('a worker that was frozen past its lease', () => {
  it('changes nothing when it goes on, and learns that its claim is over', async () => {
    const [subject] = await enqueueSome(['zombie']);
    const zombie = spawnWorker();
    await until(async () => (await countRuns(zombie.pid)) === 1, { what: 'a running job' });
    zombie.kill('SIGSTOP');
    startHealthyWorker();
    await until(async () => (await queue.rows()).length === 0, { what: 'the end of the job elsewhere' });
    const told: unknown[] = [];
    zombie.on('message', (message) => told.push(message));
    zombie.kill('SIGCONT');
    await until(() => told.length === 2, { what: 'the zombie knowing' });
    expect(told).toContainEqual({ refused: 'LeaseLostError' });
    expect(told).toContainEqual({ aborted: 'LeaseLostError' });
    const { rows } = await queue.pool.query('select subject, pid from results');
    expect(rows).toEqual([{ subject, pid: process.pid }]);
  });

  it('still finishes when nobody took the job back', async () => {
    const [subject] = await enqueueSome(['zombie']);
    const zombie = spawnWorker();
    await until(async () => (await countRuns(zombie.pid)) === 1, { what: 'a running job' });
    zombie.kill('SIGSTOP');
    const expired = 'select 1 from jobs where lease_until < now()';
    await until(async () => (await queue.pool.query(expired)).rowCount === 1, {
      what: 'the end of the lease',
    });
    zombie.kill('SIGCONT');
    await until(async () => (await queue.rows()).length === 0, { what: 'the end of the job' });
    const { rows } = await queue.pool.query('select subject, pid from results');
    expect(rows).toEqual([{ subject, pid: zombie.pid }]);
  });
});

describe('a job that kills its workers', () => {
  it('ends as crashed after three lost leases and three more alone, and all others are done', async () => {
    const failures: Failure[] = [];
    const released: unknown[] = [];
    const [killer, ...others] = await enqueueSome(['die', 'finish', 'finish', 'finish', 'finish']);
    // It only sweeps, as the worker of another machine would.
    const sweeper: JobHandler<Payload> = {
      definition,
      run: async () => {},
      onFailed: async (_tx, _job, failure) => void failures.push(failure),
      onReleased: async (_tx, job) => void released.push(job.subjectId === killer),
    };
    worker = testWorker(queue, [sweeper], { ...times, concurrency: { count: 0 } });
    worker.start();
    let deaths = 0;
    while ((await queue.rows()).length > 0 && deaths < 10) {
      // A lease that ran out while its worker lives, on a machine that stands still, would be one more that is lost.
      const child = spawnWorker({ leaseSeconds: 30 });
      let isDead = false;
      const died = once(child, 'exit').then(() => {
        isDead = true;
        deaths += 1;
      });
      // One look at a time, and none that goes on when the queue is closed.
      await until(async () => isDead || (await queue.rows()).length === 0);
      child.kill('SIGKILL');
      await died;
      await until(async () => {
        await expireLeases();
        return (await queue.rows()).every((row) => row.owner === null);
      });
    }
    expect(failures).toEqual([
      expect.objectContaining({ kind: 'CRASH', crashes: 3, failures: 0, final: true }),
    ]);
    const runs = await queue.pool.query('select * from runs where subject = $1', [killer]);
    expect(runs.rowCount).toBe(6);
    const results = await queue.pool.query<{ subject: string }>('select subject from results');
    expect(results.rows.map((row) => row.subject).toSorted()).toEqual(others.toSorted());
  });

  it('waits until nothing else runs in its worker, and nothing else starts beside it', async () => {
    const [suspect] = await enqueueSome(['finish']);
    await queue.pool.query('update jobs set lost_leases = 3');
    await enqueueSome(['finish', 'finish']);
    const ends = new Map<string, () => void>();
    const together: string[][] = [];
    const handler: JobHandler<Payload> = {
      definition,
      run: async (job) => {
        const end = deferred();
        ends.set(job.subjectId, end.resolve);
        together.push([...ends.keys()]);
        await end.promise;
        ends.delete(job.subjectId);
      },
    };
    worker = testWorker(queue, [handler], { ...times, leaseSeconds: 30, concurrency: { count: 4 } });
    worker.start();
    await until(() => ends.size === 2 && worker?.running() === 3, { what: 'a suspect that waits' });
    const [later] = await enqueueSome(['finish']);
    for (const end of ends.values()) end();
    await until(() => ends.has(suspect ?? ''), { what: 'the suspect alone' });
    expect(await queue.rows()).toContainEqual(expect.objectContaining({ subject_id: suspect, alone: true }));
    // Several polls long nothing else is claimed.
    await queue.pool.query('select pg_sleep(0.5)');
    expect(worker.running()).toBe(1);
    ends.get(suspect ?? '')?.();
    await until(() => ends.has(later ?? ''), { what: 'the job behind it' });
    expect(together.at(-2)).toEqual([suspect]);
    ends.get(later ?? '')?.();
    await until(async () => (await queue.rows()).length === 0);
  });
});
