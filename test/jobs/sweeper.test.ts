import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { transaction } from '../../src/db/transaction.ts';
import type { Failure, JobHandler } from '../../src/jobs/handler.ts';
import { type SweepOptions, sweep } from '../../src/jobs/maintenance/sweeper.ts';
import { lockClaimed } from '../../src/jobs/sql/assert-claim.ts';
import { claimJobs } from '../../src/jobs/sql/claim.ts';
import { extendLeases } from '../../src/jobs/sql/heartbeat.ts';
import { count, deferred, enqueueOf, log, openQueue, type Queue } from './support.ts';

const OWNER = '11111111-1111-4111-8111-111111111111';
const TEAM = '22222222-2222-4222-8222-222222222222';

let queue: Queue;
beforeAll(async () => {
  queue = await openQueue();
  await queue.pool.query('create table hooks (subject uuid)');
});
afterAll(() => queue.close());
beforeEach(async () => {
  await queue.pool.query('truncate jobs, hooks');
});

async function claimExpired(length: number) {
  await enqueueOf(queue.db, TEAM, length);
  const options = { kind: 'count', limit: length, owner: OWNER, leaseSeconds: 60, timeoutMs: 5000 };
  const jobs = await claimJobs(queue.pool, options);
  await queue.pool.query("update jobs set lease_until = now() - interval '1 second'");
  return jobs;
}

function optionsFor(handler: Partial<JobHandler<unknown>>, rest: Partial<SweepOptions> = {}): SweepOptions {
  const full: JobHandler<unknown> = { definition: count, run: async () => {}, ...handler };
  return {
    db: queue.db,
    pool: queue.pool,
    handlers: new Map([['count', full]]),
    isRunning: () => false,
    onReleased: () => {},
    log,
    ...rest,
  };
}

const noteHook: NonNullable<JobHandler<unknown>['onReleased']> = async (tx, job) => {
  await tx.execute(`insert into hooks values ('${job.subjectId}')`);
};
const signal = new AbortController().signal;

describe('sweep', () => {
  it('puts every expired job back once, though many sweep at the same time', async () => {
    const jobs = await claimExpired(250);
    const woken: string[] = [];
    let calls = 0;
    const onReleased: typeof noteHook = async (...args) => {
      calls += 1;
      await noteHook(...args);
    };
    const options = optionsFor({ onReleased }, { onReleased: (kind) => woken.push(kind) });
    const swept = await Promise.all(Array.from({ length: 4 }, () => sweep(options, signal)));
    expect(swept.reduce((total, n) => total + n)).toBe(250);
    expect(woken).toHaveLength(250);
    // One may come just after another has committed; four sweeps that do not heed each other make about 700 calls.
    expect(calls).toBeLessThan(400);
    const { rows } = await queue.pool.query<{ subject: string }>('select subject from hooks');
    expect(rows.map((row) => row.subject).toSorted()).toEqual(jobs.map((job) => job.subjectId).toSorted());
    for (const row of await queue.rows())
      expect(row).toMatchObject({ owner: null, lost_leases: 1, failures: 0, crashes: 0 });
  });

  it('leaves alone what is extended, what this process runs and kinds that it has no handler for', async () => {
    await claimExpired(2);
    const none = optionsFor({}, { handlers: new Map() });
    expect(await sweep(none, signal)).toBe(0);
    expect(await sweep(optionsFor({}, { isRunning: () => true }), signal)).toBe(0);
    await queue.pool.query("update jobs set lease_until = now() + interval '1 minute'");
    expect(await sweep(optionsFor({}), signal)).toBe(0);
  });

  it('undoes the hook when the lease was extended in the meantime', async () => {
    const [job] = await claimExpired(1);
    const options = optionsFor({
      onReleased: async (tx, released, why) => {
        await noteHook(tx, released, why);
        await queue.pool.query("update jobs set lease_until = now() + interval '1 minute'");
      },
    });
    expect(await sweep(options, signal)).toBe(0);
    expect(await queue.row()).toMatchObject({ claim: job?.claim, owner: OWNER, lost_leases: 0 });
    expect((await queue.pool.query('select * from hooks')).rows).toEqual([]);
  });

  it('waits for no transaction that holds a job, and deadlocks with none that locks its task first', async () => {
    const [job] = await claimExpired(1);
    if (job === undefined) throw new Error('no job');
    await queue.pool.query('insert into hooks values ($1)', [job.subjectId]);
    const touchTask = `update hooks set subject = subject where subject = '${job.subjectId}'`;
    const inHook = deferred();
    const finishing = deferred();
    // The holder of the job ends it while the sweep is between its hook and its change, and needs the same task.
    const options = optionsFor({
      onReleased: async (tx) => {
        await tx.execute(touchTask);
        inHook.resolve();
        await finishing.promise;
      },
    });
    const swept = sweep(options, signal);
    await inHook.promise;
    const finished = transaction(queue.db, async (tx) => {
      const waiting = tx.execute(touchTask);
      finishing.resolve();
      await waiting;
      return lockClaimed(tx, job);
    });
    expect(await Promise.all([swept, finished])).toEqual([1, false]);
  });

  it('releases a job whose hook fails, and those behind it', async () => {
    await claimExpired(150);
    const onReleased = async () => {
      throw new Error('a fault of the program');
    };
    expect(await sweep(optionsFor({ onReleased }), signal)).toBe(150);
    for (const row of await queue.rows()) expect(row).toMatchObject({ owner: null, lost_leases: 1 });
  });

  it('counts a crash only for a job that had its worker for itself, and ends it with the third', async () => {
    await claimExpired(1);
    const failures: Failure[] = [];
    const options = optionsFor({ onFailed: async (_tx, _job, failure) => void failures.push(failure) });
    await queue.pool.query('update jobs set lost_leases = 4, crashes = 1');
    await sweep(options, signal);
    expect(await queue.row()).toMatchObject({ lost_leases: 5, crashes: 1, alone: false });
    for (const crashes of [2, 3]) {
      await queue.pool.query(
        "update jobs set owner = $1, alone = true, lease_until = now() - interval '1 second'",
        [OWNER],
      );
      await sweep(options, signal);
      if (crashes === 2)
        expect(await queue.row()).toMatchObject({ lost_leases: 6, crashes: 2, alone: false });
    }
    expect(await queue.rows()).toEqual([]);
    expect(failures).toEqual([expect.objectContaining({ kind: 'CRASH', crashes: 3, final: true })]);
  });
});

describe('a heartbeat', () => {
  it('extends all that is still held and tells what is not, past rows that a transaction holds', async () => {
    const [locked, free, retaken] = await claimExpired(3);
    if (locked === undefined || free === undefined || retaken === undefined) throw new Error('no jobs');
    await queue.pool.query("update jobs set claim = nextval('job_claims') where id = $1", [retaken.id]);
    await transaction(queue.db, async (tx) => {
      await lockClaimed(tx, locked);
      const options = { owner: OWNER, held: [locked, free, retaken], leaseSeconds: 60, timeoutMs: 5000 };
      expect(await extendLeases(queue.pool, options)).toEqual(new Set([locked.claim, free.claim]));
    });
    const { rows } = await queue.pool.query('select id from jobs where lease_until > now()');
    expect(rows).toEqual([{ id: free.id }]);
  });
});
