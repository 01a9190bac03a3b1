import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { transaction } from '../../src/db/transaction.ts';
import type { JobHandler } from '../../src/jobs/handler.ts';
import { removeJobs } from '../../src/jobs/queue.ts';
import type { Worker } from '../../src/jobs/worker.ts';
import {
  aborted,
  count,
  deferred,
  enqueueCounts,
  openQueue,
  type Queue,
  testWorker,
  until,
} from './support.ts';

const REMOVED = 'the job of this run was canceled or deleted, nothing was written for it';
const LOST = 'LEASE_LOST: this run of a job is over, nothing was written for it';
const LEVELS = { debug: 20, warn: 40, error: 50 };

let queue: Queue;
let worker: Worker | undefined;

beforeAll(async () => {
  queue = await openQueue();
});

afterEach(async () => {
  await worker?.stop();
  await queue.pool.query('delete from jobs');
});

afterAll(async () => {
  await queue?.close();
});

interface Line {
  readonly level: number;
  readonly msg: string;
}

/** Starts a worker, and keeps what it says. */
function start(run: JobHandler<unknown>['run'], options: Parameters<typeof testWorker>[2] = {}) {
  const lines: Line[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  worker = testWorker(queue, [{ definition: count, run } as never], { log, leaseSeconds: 1, ...options });
  worker.start();
  const isOver = ({ msg }: Line) => [REMOVED, LOST].includes(msg);
  return {
    /** What it says of so many runs that are over, by level. */
    async over(runs = 1): Promise<readonly Line[]> {
      await until(() => lines.filter(isOver).length >= runs, { what: 'word of the end' });
      return lines.filter(isOver).map(({ level, msg }) => ({ level, msg }));
    },
    troubles: () => lines.filter(({ level }) => level >= LEVELS.warn).map(({ msg }) => msg),
  };
}

const remove = (subjects: readonly string[]) =>
  transaction(queue.db, (tx) => removeJobs(tx, [count], subjects));

const running = (n: number) => until(() => worker?.running() === n, { what: 'running jobs' });

test('a job that is removed while it runs is no trouble, whether its run notices or comes to its end', async () => {
  const ends = deferred();
  const { over, troubles } = start(
    async (job, { signal }) => {
      if ((job.payload as { n: number }).n === 0) await aborted(signal);
      else await ends.promise;
    },
    { leaseSeconds: 12 },
  );
  const subjects = await enqueueCounts(queue.db, 2);
  await running(2);
  await remove(subjects);
  ends.resolve();
  await running(0);
  expect(await over(2)).toEqual(Array(2).fill({ level: LEVELS.debug, msg: REMOVED }));
  expect(troubles()).toEqual([]);
});

test('a job that another worker has is told of as lost', async () => {
  const { over } = start((_job, { signal }) => aborted(signal));
  await enqueueCounts(queue.db, 1);
  await running(1);
  await queue.pool.query(
    `update jobs set owner = gen_random_uuid(), claim = nextval('job_claims'), lease_until = now() + interval '1 hour'`,
  );
  expect(await over()).toEqual([{ level: LEVELS.warn, msg: LOST }]);
});

test('a job that is gone when its lease had run out is told of as lost: another worker may have ended it', async () => {
  const holder = await queue.pool.connect();
  const { over, troubles } = start((_job, { signal }) => aborted(signal));
  try {
    await enqueueCounts(queue.db, 1);
    await running(1);
    // No lease can be extended, for longer than one lasts.
    await holder.query('begin');
    await holder.query('lock table jobs in access exclusive mode');
    const countMissed = () => troubles().filter((msg) => msg === 'leases could not be extended').length;
    const missedBefore = countMissed();
    await until(() => countMissed() > missedBefore + 4);
    await holder.query('delete from jobs');
    await holder.query('commit');
  } finally {
    holder.release();
  }
  expect(await over()).toEqual([{ level: LEVELS.warn, msg: LOST }]);
});

test('an end that cannot be stored is told of, and the job is run again later', async () => {
  await queue.pool.query(`create function keep_it() returns trigger language plpgsql as $$
    begin raise exception 'it stays'; end $$`);
  await queue.pool.query(
    'create trigger keep_it before delete on jobs for each row execute function keep_it()',
  );
  try {
    const { troubles } = start(async () => {}, { leaseSeconds: 30 });
    await enqueueCounts(queue.db, 1);
    await until(async () => (await queue.row()).failures === 1);
    expect(await queue.row()).toMatchObject({ owner: null, failures: 1 });
    expect(troubles()).toEqual(['the outcome of a job could not be stored, it will be run again']);
  } finally {
    await queue.pool.query('drop trigger keep_it on jobs');
  }
});
