import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineJob } from '../../src/jobs/define.ts';
import { CrashError, PermanentError, TransientError, WaitError } from '../../src/jobs/errors.ts';
import type { Failure, JobHandler, Wait } from '../../src/jobs/handler.ts';
import type { ClaimedJob } from '../../src/jobs/job.ts';
import type { Worker } from '../../src/jobs/worker.ts';
import { count, deferred, enqueueCounts, openQueue, type Queue, testWorker, until } from './support.ts';

type Event = readonly [string, Partial<Failure> | Wait | undefined];

let queue: Queue;
let worker: Worker | undefined;
beforeEach(async () => {
  queue = await openQueue();
  await queue.pool.query('create table hooks (name text)');
});
afterEach(async () => {
  await worker?.stopNow();
  await queue.close();
});

/** Runs one job by a script: what each run throws, or undefined; gives what the hooks were told. */
async function play(script: readonly unknown[], { maxFailures = 8, retryBaseSeconds = 0.02 } = {}) {
  const definition = defineJob({ kind: 'count', schema: z.object({ n: z.number() }), maxFailures });
  const events: Event[] = [];
  const starts: number[] = [];
  const runAts: Date[] = [];
  const over = deferred();
  const handler: JobHandler<{ n: number }> = {
    definition,
    run: async () => {
      starts.push(Date.now());
      const error = script[starts.length - 1];
      if (error !== undefined) throw error;
    },
    onRetry: async (tx, _job, { error: _, ...failure }, runAt) => {
      await tx.execute("insert into hooks values ('retry')");
      events.push(['retry', failure]);
      runAts.push(runAt);
    },
    onFailed: async (tx, _job, { error: _, ...failure }) => {
      await tx.execute("insert into hooks values ('failed')");
      events.push(['failed', failure]);
    },
    onReleased: async (_tx, _job, why, wait) => void events.push([why, wait]),
    afterCommit: async () => {
      if ((await queue.rows()).length === 0) over.resolve();
    },
  };
  await enqueueCounts(queue.db, 1);
  worker = testWorker(queue, [handler], { retryBaseSeconds, pollSeconds: 0.02 });
  worker.start();
  await over.promise;
  const { rows } = await queue.pool.query<{ name: string }>('select name from hooks');
  return { events, starts, runAts, stored: rows.map(({ name }) => name) };
}

const codes = (events: readonly Event[]) =>
  events.map(([name, told]) => [name, told && 'code' in told && told.code]);

describe('a job', () => {
  it('is tried again after transient failures, and not before Retry-After', async () => {
    const { events, starts, runAts } = await play([
      new TransientError('429', { code: 'BUSY', retryAfterSeconds: 0.7 }),
      new TransientError('503', { code: 'UNAVAILABLE' }),
      new TransientError('reset', { code: 'RESET' }),
    ]);
    expect(codes(events)).toEqual([
      ['retry', 'BUSY'],
      ['retry', 'UNAVAILABLE'],
      ['retry', 'RESET'],
    ]);
    expect(starts).toHaveLength(4);
    expect((starts[1] ?? 0) - (starts[0] ?? 0)).toBeGreaterThanOrEqual(700);
    // The same machine's clock here: what the hook was told is when the job came back.
    for (const [n, runAt] of runAts.entries())
      expect(starts[n + 1]).toBeGreaterThanOrEqual(runAt.getTime() - 1);
  });

  it('fails when its budget of failures is used up', async () => {
    const { events, stored } = await play(Array(9).fill(new TransientError('503')), { maxFailures: 3 });
    expect(events).toEqual([
      ['retry', { kind: 'TRANSIENT', failures: 1, crashes: 0, final: false }],
      ['retry', { kind: 'TRANSIENT', failures: 2, crashes: 0, final: false }],
      ['failed', { kind: 'TRANSIENT', failures: 3, crashes: 0, final: true }],
    ]);
    expect(stored).toEqual(['retry', 'retry', 'failed']);
  });

  it('fails at once for good', async () => {
    const { events, starts } = await play([new PermanentError('404')]);
    expect(events).toEqual([['failed', { kind: 'PERMANENT', failures: 0, crashes: 0, final: true }]]);
    expect(starts).toHaveLength(1);
  });

  it('fails with its third crash, which costs no failure', async () => {
    const { events } = await play(Array(9).fill(new CrashError('SIGSEGV')));
    expect(events).toEqual([
      ['retry', { kind: 'CRASH', failures: 0, crashes: 1, final: false }],
      ['retry', { kind: 'CRASH', failures: 0, crashes: 2, final: false }],
      ['failed', { kind: 'CRASH', failures: 0, crashes: 3, final: true }],
    ]);
  });

  it('waits without a failure', async () => {
    const { events, starts } = await play([new WaitError({ seconds: 0.5, reason: 'STORAGE' })]);
    expect(events).toEqual([['WAITING', { reason: 'STORAGE', until: expect.any(Date) }]]);
    expect((starts[1] ?? 0) - (starts[0] ?? 0)).toBeGreaterThanOrEqual(500);
  });

  it('survives an unexpected error as a failure with an id', async () => {
    const { events } = await play([new TypeError('x is undefined'), 'not even an error']);
    const failure = {
      kind: 'UNEXPECTED',
      code: 'INTERNAL',
      errorId: expect.any(String),
      crashes: 0,
      final: false,
    };
    expect(events).toEqual([
      ['retry', { ...failure, failures: 1 }],
      ['retry', { ...failure, failures: 2 }],
    ]);
  });

  it('fails for good when its payload cannot be read', async () => {
    await queue.pool.query(
      `insert into jobs (id, kind, subject_id, team_id, payload)
       values (gen_random_uuid(), 'count', gen_random_uuid(), gen_random_uuid(), '{"n": "one"}')`,
    );
    const failed = deferred<{ job: ClaimedJob; failure: Failure }>();
    let ran = false;
    const handler: JobHandler<{ n: number }> = {
      definition: count,
      run: async () => {
        ran = true;
      },
      onFailed: async (_tx, job, failure) => failed.resolve({ job, failure }),
    };
    worker = testWorker(queue, [handler]);
    worker.start();
    const { job, failure } = await failed.promise;
    expect(failure).toMatchObject({ kind: 'PERMANENT', final: true });
    expect(job.payload).toEqual({ n: 'one' });
    expect(ran).toBe(false);
    await until(async () => (await queue.rows()).length === 0);
  });

  it('is neither lost nor run in a tight loop when a hook fails', async () => {
    await enqueueCounts(queue.db, 1);
    let runs = 0;
    const handler: JobHandler<{ n: number }> = {
      definition: count,
      run: async () => {
        runs += 1;
        throw new PermanentError('404');
      },
      onFailed: async (tx) => {
        await tx.execute("insert into hooks values ('failed')");
        throw new Error('a fault of the program');
      },
    };
    worker = testWorker(queue, [handler]);
    worker.start();
    await until(async () => (await queue.row()).failures === 1);
    const row = await queue.row();
    expect(row).toMatchObject({ owner: null, failures: 1 });
    expect(row.run_at.getTime()).toBeGreaterThan(Date.now() + 30_000);
    expect(runs).toBe(1);
    expect((await queue.pool.query('select * from hooks')).rows).toEqual([]);
  });
});
