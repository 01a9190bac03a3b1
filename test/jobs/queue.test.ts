import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ZodError } from 'zod';
import { transaction } from '../../src/db/transaction.ts';
import { LeaseLostError } from '../../src/jobs/errors.ts';
import {
  assertClaim,
  enqueue,
  enqueueClaimed,
  enqueuedIn,
  enqueueMany,
  finishJob,
  releaseJob,
} from '../../src/jobs/queue.ts';
import { claimJobs } from '../../src/jobs/sql/claim.ts';
import { count, openQueue, type Queue } from './support.ts';

let queue: Queue;
beforeAll(async () => {
  queue = await openQueue();
});
afterAll(() => queue.close());
beforeEach(async () => {
  await queue.pool.query('truncate jobs');
});

const newJob = (n = 0) => ({ subjectId: randomUUID(), teamId: randomUUID(), payload: { n } });
const claim = (limit = 1, owner: string = randomUUID()) =>
  claimJobs(queue.pool, { kind: 'count', limit, owner, leaseSeconds: 30, timeoutMs: 5000 });
const heldJob = (owner: string = randomUUID()) =>
  enqueueClaimed(queue.db, count, { ...newJob(3), owner, leaseSeconds: 30 });

describe('enqueue', () => {
  it('keeps one job of a kind for a subject', async () => {
    const job = newJob(1);
    expect(await enqueue(queue.db, count, job)).toBe(true);
    expect(await enqueue(queue.db, count, { ...job, payload: { n: 2 } })).toBe(false);
    expect(await queue.row()).toMatchObject({ subject_id: job.subjectId, payload: { n: 1 } });
  });

  it('goes with the transaction that it is part of', async () => {
    const failing = transaction(queue.db, async (tx) => {
      await enqueue(tx, count, newJob());
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await queue.rows()).toEqual([]);
  });

  it('stores 70,000 jobs in one statement and says how many were new', async () => {
    const jobs = Array.from({ length: 70_000 }, (_, n) => newJob(n));
    expect(await enqueueMany(queue.db, count, jobs)).toBe(70_000);
    expect(await enqueueMany(queue.db, count, [...jobs.slice(0, 10), newJob()])).toBe(1);
    const { rows } = await queue.pool.query(
      "select count(*)::int as jobs, sum((payload ->> 'n')::int)::text as total from jobs",
    );
    expect(rows).toEqual([{ jobs: 70_001, total: String((69_999 * 70_000) / 2) }]);
  });

  it('leaves behind whom to wake after the commit: the kinds of what is due at once', async () => {
    const later = { ...newJob(), runAt: new Date(Date.now() + 60_000) };
    const kinds = (...jobs: readonly (typeof later | ReturnType<typeof newJob>)[]) =>
      transaction(queue.db, async (tx) => {
        for (const job of jobs) await enqueue(tx, count, job);
        return enqueuedIn(tx);
      });
    expect(await kinds()).toEqual([]);
    expect(await kinds(later)).toEqual([]);
    expect(await kinds(newJob(), later, newJob())).toEqual(['count']);
  });

  it('keeps due time and priority', async () => {
    const runAt = new Date('2030-01-02T03:04:05.678Z');
    await enqueue(queue.db, count, { ...newJob(), runAt, priority: -3 });
    expect(await queue.row()).toMatchObject({ run_at: runAt, priority: -3 });
  });

  it('refuses all when one payload does not fit', async () => {
    const jobs = [newJob(1), newJob(1.5)];
    await expect(enqueueMany(queue.db, count, jobs)).rejects.toThrow(ZodError);
    expect(await queue.rows()).toEqual([]);
  });

  it('ends without a deadlock when two transactions enqueue the same subjects in opposite orders', async () => {
    const jobs = Array.from({ length: 2000 }, (_, n) => newJob(n));
    const reversed = jobs.toReversed();
    const counts = await Promise.all(
      Array.from({ length: 8 }, (_, n) => enqueueMany(queue.db, count, n % 2 === 0 ? jobs : reversed)),
    );
    expect(counts.reduce((total, inserted) => total + inserted)).toBe(2000);
  });

  it('is seen by a claim right after its commit, always', async () => {
    for (let n = 0; n < 200; n += 1) {
      await enqueue(queue.db, count, newJob(n));
      expect(await claim()).toHaveLength(1);
    }
  });
});

describe('a claimed job', () => {
  it('is not given to anybody else', async () => {
    const job = await heldJob();
    expect(job).toMatchObject({ claims: 1, failures: 0, payload: { n: 3 }, finished: false });
    expect(await claim(10)).toEqual([]);
  });

  it('ends with the transaction that finishes it', async () => {
    const job = await heldJob();
    await transaction(queue.db, (tx) => finishJob(tx, job));
    expect(job.finished).toBe(true);
    expect(await queue.rows()).toEqual([]);
    await expect(transaction(queue.db, (tx) => finishJob(tx, job))).rejects.toThrow(LeaseLostError);
  });

  it('goes back to the queue, due at once and without a failure, and gets a higher claim number', async () => {
    const job = await heldJob();
    await releaseJob(queue.db, job);
    const [again] = await claim();
    expect(again).toMatchObject({ id: job.id, claims: 2, failures: 0, lostLeases: 0 });
    expect(BigInt(again?.claim ?? 0)).toBeGreaterThan(BigInt(job.claim));
  });

  it('is fenced by claim and by owner', async () => {
    const old = await heldJob('11111111-1111-4111-8111-111111111111');
    await releaseJob(queue.db, old);
    const [current] = await claim(1, old.owner);
    const stranger = { ...old, claim: current?.claim ?? '', owner: randomUUID() };
    for (const wrong of [old, stranger]) {
      await expect(transaction(queue.db, (tx) => assertClaim(tx, wrong))).rejects.toThrow(LeaseLostError);
      await expect(transaction(queue.db, (tx) => finishJob(tx, wrong))).rejects.toThrow(LeaseLostError);
      await expect(releaseJob(queue.db, wrong)).rejects.toThrow(LeaseLostError);
    }
    expect(await queue.row()).toMatchObject({ claim: current?.claim, owner: old.owner });
    await transaction(queue.db, (tx) => assertClaim(tx, { ...old, claim: current?.claim ?? '' }));
  });

  it('keeps claim numbers beyond what a JavaScript number holds', async () => {
    await queue.pool.query("select setval('job_claims', 9007199254740993)");
    const job = await heldJob();
    expect(job.claim).toBe('9007199254740994');
    await transaction(queue.db, (tx) => finishJob(tx, job));
    expect(await queue.rows()).toEqual([]);
  });
});

describe('the table', () => {
  it('knows no owner without a lease and no lease without an owner', async () => {
    await enqueue(queue.db, count, newJob());
    await expect(queue.pool.query('update jobs set owner = gen_random_uuid()')).rejects.toThrow(
      'jobs_leased',
    );
    await expect(queue.pool.query('update jobs set lease_until = now()')).rejects.toThrow('jobs_leased');
  });
});
