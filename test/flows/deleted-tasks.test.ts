import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase, type DatabaseClient } from '../../src/db/client.ts';
import { forgetDeletedTasks } from '../../src/services/deleted-tasks.ts';
import { toPublicId } from '../../src/services/public-ids.ts';
import { log } from '../jobs/support.ts';
import { graphql } from '../support/graphql.ts';
import { firstTeam, insertFinishedImport, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { over, TRANSPORTS } from './live.ts';

const PROGRESS = graphql(`
  subscription DeletedOfImport($id: ID!, $after: String) {
    importProgress(id: $id, after: $after) {
      cursor snapshot changed { id } deletedTaskIds import { index { name } }
    }
  }
`);
const TASK = graphql(`
  subscription DeletedTask($id: ID!) { taskProgress(id: $id) { task { id attempts index { name } } } }
`);

let server: TestServer;
let rows: Rows;
/** A second connection, for what waits for the first. */
let others: Rows;
let database: DatabaseClient;
let team: TeamRows;
let importId: string;
let id: string;
/** Row ids of its tasks, in order. */
let taskIds: readonly string[];

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  others = await openRows(server.databaseUrl);
  database = createDatabase({ url: server.databaseUrl, log, applicationName: 'test' });
  team = await firstTeam(rows, server.key);
});

afterAll(async () => {
  await database?.close();
  await others?.close();
  await rows?.close();
  await server?.stop();
});

beforeEach(async () => {
  // Old ones make cursors too old that go back behind them, as far as any transaction of the whole cluster is open.
  await rows.all('delete from deleted_tasks');
  importId = await insertFinishedImport(rows, team, { tasks: 4, videos: 0 });
  id = toPublicId('Import', importId);
  await rows.all(
    `update tasks set status = 'PENDING', outcome = null, finished_at = null, waiting_for = 'WORKER', fraction = 0
      where import_id = $1`,
    [importId],
  );
  await rows.all(`update imports set state = 'STARTED', counts = null, finished_at = null where id = $1`, [
    importId,
  ]);
  taskIds = (
    await rows.all<{ id: string }>('select id from tasks where import_id = $1 order by ordinal', [importId])
  ).map((row) => row.id);
});

const tell = () => rows.all(`select pg_notify('sluice_changes', $1)`, [`${team.teamId} ${importId}`]);
const remove = async (ordinal: number) => {
  await rows.all('delete from tasks where import_id = $1 and ordinal = $2', [importId, ordinal]);
  await tell();
};
const publicId = (ordinal: number) => toPublicId('Task', taskIds[ordinal] ?? '');

describe.each(TRANSPORTS)('over %s', (transport) => {
  test('deleted tasks are told as they go, and to who comes back; not to who comes back after a week', async () => {
    const first = over(server, transport)(PROGRESS, { id });
    const snapshot = (await first.next()).value?.importProgress;
    expect(snapshot?.changed.map((task: { readonly id: string }) => task.id)).toEqual(
      [0, 1, 2, 3].map(publicId),
    );
    await remove(1);
    expect((await first.next()).value?.importProgress).toMatchObject({
      snapshot: false,
      changed: [],
      deletedTaskIds: [publicId(1)],
    });
    await first.return(undefined);
    await remove(2);
    const after = snapshot?.cursor ?? null;
    const second = over(server, transport)(PROGRESS, { id, after });
    const event = (await second.next()).value?.importProgress;
    expect(event?.snapshot).toBe(false);
    expect([...(event?.deletedTaskIds ?? [])].sort()).toEqual([publicId(1), publicId(2)].sort());
    await second.return(undefined);

    await rows.all(`update deleted_tasks set deleted_at = now() - interval '8 days' where import_id = $1`, [
      importId,
    ]);
    const third = over(server, transport)(PROGRESS, { id, after });
    const fresh = (await third.next()).value?.importProgress;
    expect(fresh).toMatchObject({ snapshot: true, deletedTaskIds: [] });
    expect(fresh?.changed.map((task: { readonly id: string }) => task.id)).toEqual([0, 3].map(publicId));
    await third.return(undefined);
  });

  test('the subscription of a task completes when it is deleted', async () => {
    const events = over(server, transport)(TASK, { id: publicId(0) });
    expect((await events.next()).value?.taskProgress.task.id).toBe(publicId(0));
    await remove(0);
    expect((await events.next()).done).toBe(true);
  });

  test('what was deleted before its event was read is no event', async () => {
    const task = over(server, transport)(TASK, { id: publicId(0) });
    const whole = over(server, transport)(PROGRESS, { id });
    await task.next();
    await whole.next();
    // Events are read with their index: they wait here.
    await rows.all('begin');
    await rows.all('lock table indexes in access exclusive mode');
    await others.all('update tasks set attempts = 5 where id = $1', [taskIds[0]]);
    await others.all(`select pg_notify('sluice_changes', $1)`, [`${team.teamId} ${importId}`]);
    await waitFor(
      async () => {
        const waiting = await others.all(
          `select from pg_stat_activity where datname = current_database() and application_name = 'sluice api' and wait_event_type = 'Lock'`,
        );
        return waiting.length === 2;
      },
      { what: 'both events' },
    );
    await rows.all('delete from imports where id = $1', [importId]);
    await rows.all('delete from tasks where import_id = $1', [importId]);
    await rows.all('commit');
    await tell();
    expect((await task.next()).done).toBe(true);
    expect((await whole.next()).done).toBe(true);
  });
});

test('what tells of deletions is removed after seven days, up to the last of each team that is so old', async () => {
  const kept = () =>
    rows.all<{ id: string }>('select id from deleted_tasks where import_id = $1 order by changed_xid', [
      importId,
    ]);
  for (const ordinal of [0, 1, 2]) await remove(ordinal);
  await rows.all(
    `update deleted_tasks set deleted_at = now() - interval '7 days 1 hour' where id = any($1::uuid[])`,
    [taskIds.slice(0, 2)],
  );
  const removed = await forgetDeletedTasks(database.db, new AbortController().signal);
  expect(removed).toBeGreaterThan(0);
  expect(await kept()).toEqual([{ id: taskIds[1] }, { id: taskIds[2] }]);
  expect(await forgetDeletedTasks(database.db, new AbortController().signal)).toBe(0);
});
