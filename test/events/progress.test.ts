import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createDatabase, type DatabaseClient } from '../../src/db/client.ts';
import {
  createProgressReporter,
  type ProgressReport,
  type ProgressReporter,
} from '../../src/events/progress.ts';
import { log } from '../jobs/support.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { waitFor } from '../support/wait.ts';

let database: TestDatabase;
let client: DatabaseClient;
let rows: Rows;
let reporter: ProgressReporter;

beforeAll(async () => {
  database = await createTestDatabase();
  client = createDatabase({ url: database.url, log, applicationName: 'test' });
  rows = await openRows(database.url);
  reporter = createProgressReporter({ db: client.db, log });
});

afterAll(async () => {
  await reporter?.stop();
  await rows?.close();
  await client?.close();
  await database?.drop();
});

interface Row {
  readonly fraction: number;
  readonly stage_fraction: number;
  readonly bytes_done: string;
  readonly bytes_per_second: string | null;
  readonly eta_seconds: number | null;
}

/** A task that a worker has claimed, and how to report of it and to read what was written. */
async function claimed() {
  const [taskId, jobId, teamId] = [randomUUID(), randomUUID(), randomUUID()];
  await rows.all(
    `insert into jobs (id, kind, subject_id, team_id, payload, claim, owner, lease_until)
     values ($1, 'transfer-video', $2, $3, '{}', 1, $2, now() + interval '1 hour')`,
    [jobId, taskId, teamId],
  );
  const report = async (change: Partial<ProgressReport>, isWritten: (row: Row) => boolean): Promise<Row> => {
    const common = {
      taskId,
      jobId,
      teamId,
      importId: null,
      claim: '1',
      attempt: 1,
      stage: 'UPLOAD' as const,
    };
    reporter.report({ ...common, stageFraction: 0, fraction: 0, bytesDone: 0, bytesTotal: null, ...change });
    return await waitFor(async () => {
      const [row] = await rows.all<Row>('select * from task_progress where task_id = $1', [taskId]);
      return row !== undefined && isWritten(row) && row;
    });
  };
  return report;
}

test('fractions never go back within an attempt, and begin anew with the next', async () => {
  const report = await claimed();
  await report({ stageFraction: 0.8, fraction: 0.7, bytesDone: 80 }, () => true);
  const back = await report(
    { stageFraction: 0.1, fraction: 0.1, bytesDone: 10 },
    (row) => row.bytes_done === '10',
  );
  expect(back).toMatchObject({ stage_fraction: 0.8, fraction: 0.7 });
  const next = await report(
    { stage: 'VALIDATION', fraction: 0.9, bytesDone: 81 },
    (row) => row.bytes_done === '81',
  );
  expect(next).toMatchObject({ stage_fraction: 0, fraction: 0.9 });
  const again = await report({ attempt: 2, bytesDone: 1 }, (row) => row.bytes_done === '1');
  expect(again).toMatchObject({ stage_fraction: 0, fraction: 0 });
});

test('a transfer that would take years is told without its end, and others are written all the same', async () => {
  const report = await claimed();
  const bytesTotal = 10 ** 15;
  await report({ bytesDone: 1, bytesTotal }, () => true);
  const row = await report({ bytesDone: 50, bytesTotal }, ({ bytes_done: done }) => done === '50');
  expect(Number(row.bytes_per_second)).toBeGreaterThan(0);
  expect(row.eta_seconds).toBeNull();
  const soon = await report({ bytesDone: 100, bytesTotal: 120 }, ({ bytes_done: done }) => done === '100');
  expect(soon.eta_seconds).toBeGreaterThan(0);
});

test('a report whose job somebody has locked at that moment is written later, without another one', async () => {
  const held = await claimed();
  const locker = await openRows(database.url);
  onTestFinished(locker.close);
  await locker.all('begin; select from jobs for update');
  const other = await claimed();
  const is =
    (expected: number) =>
    ({ fraction }: Row) =>
      fraction === expected;
  const late = held({ fraction: 0.5 }, is(0.5));
  // It comes after, so that it is written when the other one has been passed over.
  await other({ fraction: 0.25 }, is(0.25));
  await locker.all('commit');
  expect(await late).toMatchObject({ fraction: 0.5 });
});
