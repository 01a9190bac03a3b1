import { randomUUID } from 'node:crypto';
import { sql } from 'drizzle-orm';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { transaction } from '../../src/db/transaction.ts';
import { transferVideo } from '../../src/jobs/definitions.ts';
import { LeaseLostError } from '../../src/jobs/errors.ts';
import type { ClaimedJob } from '../../src/jobs/job.ts';
import { enqueueClaimed } from '../../src/jobs/queue.ts';
import { lockOpenTask } from '../../src/services/end-task.ts';
import { finishJobOfTask, moveAtOnce, moveClaimedTask } from '../../src/services/run-task.ts';
import { openQueue, type Queue } from '../jobs/support.ts';
import { insertTeam, openRows, type Rows } from '../support/rows.ts';
import { waitFor } from '../support/wait.ts';

let queue: Queue;
let rows: Rows;
let job: ClaimedJob;

beforeEach(async () => {
  queue = await openQueue();
  rows = await openRows(queue.url);
  const { teamId, indexId } = await insertTeam(rows, 'Team');
  const [id, owner] = [randomUUID(), randomUUID()];
  await rows.all(
    `insert into tasks (id, team_id, ordinal, index_id, video_id, file_name, name, name_given, incremental, stages, status, attempts, started_at)
     values ($1, $2, 0, $3, $4, 'a.mp4', 'A', false, true, '[]', 'UPLOADING', 1, now())`,
    [id, teamId, indexId, randomUUID()],
  );
  const claimed = { subjectId: id, teamId, payload: {}, owner, leaseSeconds: 30 };
  job = await transaction(queue.db, (tx) => enqueueClaimed(tx, transferVideo, claimed));
  await rows.all(
    `insert into task_progress (task_id, team_id, claim, attempt, stage, stage_fraction, fraction, bytes_done)
     values ($1, $2, $3, 1, 'UPLOAD', 0.5, 0.5, 1)`,
    [id, teamId, job.claim],
  );
});

afterEach(async () => {
  await rows.close();
  await queue.close();
});

const move = (claim = job.claim) =>
  moveAtOnce(queue.db, {
    job: { ...job, claim },
    from: 'UPLOADING',
    to: 'VALIDATING',
    set: sql`sha256 = 'abc'`,
  });

const task = () =>
  rows.one<{ status: string; sha256: string | null; name: string }>('select status, sha256, name from tasks');

/** Runs something that has to wait for what this test has locked, and lets it go on once it waits. */
async function whileLocked<T>(changes: readonly string[], run: () => Promise<T>): Promise<T> {
  await rows.all('begin');
  for (const change of changes) await rows.all(change);
  const running = run();
  await waitFor(async () => (await waiting()) > 0, { what: 'somebody to wait for a lock' });
  await rows.all('commit');
  return await running;
}

const waiting = async (): Promise<number> => {
  const { rows: found } = await queue.pool.query(
    `select from pg_stat_activity where datname = current_database() and application_name = 'test' and wait_event_type = 'Lock'`,
  );
  return found.length;
};

test('the holder of the job moves the task, in the status that it left it in', async () => {
  expect(await move()).toEqual({ teamId: job.teamId, importId: null });
  expect(await task()).toMatchObject({ status: 'VALIDATING', sha256: 'abc' });
  expect(await move()).toBeNull();
});

test('a claim that is over moves nothing', async () => {
  expect(await move(String(Number(job.claim) - 1))).toBeNull();
  expect(await task()).toMatchObject({ status: 'UPLOADING', sha256: null });
});

test.each([
  ['its job was taken back', `update jobs set claim = nextval('job_claims')`],
  ['its job was released', 'update jobs set owner = null, lease_until = null'],
  ['its job was removed', 'delete from jobs'],
  ['its task went back to wait', `update tasks set status = 'PENDING', waiting_for = 'WORKER'`],
])('while it waited for the task, %s: it moves nothing', async (_what, change) => {
  expect(await whileLocked(['select from tasks for update', change], move)).toBeNull();
  expect((await task()).sha256).toBeNull();
});

test('what somebody else changed of the task while it waited is kept', async () => {
  expect(await whileLocked([`update tasks set name = 'B'`], move)).not.toBeNull();
  expect(await task()).toEqual({ status: 'VALIDATING', sha256: 'abc', name: 'B' });
});

test('it waits for who holds the job, and then sees whose it is', async () => {
  expect(await whileLocked([`update jobs set claim = nextval('job_claims')`], move)).toBeNull();
  expect((await task()).status).toBe('UPLOADING');
});

test('who waits for the job has the task locked: tasks come before jobs', async () => {
  await rows.all('begin; select from jobs for update');
  const moving = move();
  await waitFor(async () => (await waiting()) > 0, { what: 'the move to wait' });
  const { rows: free } = await queue.pool.query('select from tasks for update skip locked');
  expect(free).toHaveLength(0);
  await rows.all('commit');
  expect(await moving).not.toBeNull();
});

test('a locked task is moved for the holder of its job alone, and the job stays locked', async () => {
  const change = { sha256: 'abc' };
  const moveLocked = (claim: string) =>
    transaction(queue.db, async (tx) => {
      const locked = await lockOpenTask(tx, job.subjectId);
      if (!locked) throw new Error('the task is not open');
      await moveClaimedTask(tx, { job: { ...job, claim }, task: locked, change });
      return (await queue.pool.query('select from jobs for update skip locked')).rows.length;
    });
  await expect(moveLocked(String(Number(job.claim) - 1))).rejects.toThrow(LeaseLostError);
  expect((await task()).sha256).toBeNull();
  expect(await moveLocked(job.claim)).toBe(0);
  expect((await task()).sha256).toBe('abc');
});

test('the end of a job takes its progress along, and that of a claim that is over takes nothing', async () => {
  const end = (claim: string) =>
    transaction(queue.db, (tx) => finishJobOfTask(tx, Object.assign(job, { claim })));
  const { claim } = job;
  await expect(end(String(Number(claim) - 1))).rejects.toThrow(LeaseLostError);
  expect(job.finished).toBe(false);
  expect([await rows.count('jobs'), await rows.count('task_progress')]).toEqual([1, 1]);
  await end(claim);
  expect(job.finished).toBe(true);
  expect([await rows.count('jobs'), await rows.count('task_progress')]).toEqual([0, 0]);
});
