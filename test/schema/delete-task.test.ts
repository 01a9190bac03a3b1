import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDeleter } from '../flows/deletions.ts';
import { graphql } from '../support/graphql.ts';
import { firstTeam, insertFinishedImport, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const LOOK = graphql(`
  query DeletedTaskLook($id: ID!) {
    import(id: $id) {
      state finished hasFailures
      counts { found undecided rejected pending uploading validating queued indexing ready skipped failed canceled }
      progress { fraction bytesDone bytesTotal }
      tasks(first: 100) { totalCount }
    }
  }
`);
const CANCEL = graphql(`mutation DeletedTaskCancel($id: ID!) { cancelTask(id: $id) { __typename } }`);
const RETRY = graphql(`mutation DeletedTaskRetry($id: ID!) { retryImport(id: $id) { __typename } }`);

let server: TestServer;
let rows: Rows;
let team: TeamRows;
let deleter: ReturnType<typeof createDeleter>;

beforeAll(async () => {
  // No worker takes up what is tried again: what it would come to is not the matter here.
  server = await startTestServer({}, 'api');
  rows = await openRows(server.databaseUrl);
  team = await firstTeam(rows, server.key);
  deleter = createDeleter(server);
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

async function look(id: string) {
  const { import: found } = await server.query(LOOK, { id: `imp_${id}` });
  if (!found) throw new Error('the import is gone');
  const { found: all, ...counts } = found.counts;
  expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(all);
  return found;
}

const taskIds = async (importId: string) =>
  (
    await rows.all<{ id: string }>('select id from tasks where import_id = $1 order by ordinal', [importId])
  ).map(({ id }) => `task_${id}`);

/** An import that runs: of its five tasks one is PENDING, the others have ended, each in its way. */
async function insertRunningImport(): Promise<string> {
  const importId = await insertFinishedImport(rows, team, { tasks: 5, videos: 0 });
  await rows.client.query(`
    update imports set state = 'STARTED', counts = null, finished_at = null where id = '${importId}';
    update tasks set bytes_done = 10, bytes_total = 10 where import_id = '${importId}';
    update tasks set status = 'SKIPPED', outcome = 'SKIPPED', skip_reason = 'SAME_CONTENT' where import_id = '${importId}' and ordinal = 1;
    update tasks set status = 'FAILED', outcome = 'FAILED', fraction = 0.5, bytes_total = null,
           error = '{"code": "INTERNAL", "message": "no", "retryable": true}' where import_id = '${importId}' and ordinal = 2;
    update tasks set status = 'CANCELED', outcome = 'CANCELED', fraction = 0 where import_id = '${importId}' and ordinal = 3;
    update tasks set status = 'PENDING', outcome = null, waiting_for = 'WORKER', fraction = 0, finished_at = null where import_id = '${importId}' and ordinal = 4;
    insert into import_entries (import_id, ordinal, input, verdict) select '${importId}', n, '{}', 'TASK' from generate_series(0, 4) n`);
  return importId;
}

test('a task that runs, or whose video is there, is not deleted', async () => {
  const importId = await insertRunningImport();
  const [, , , , pending = ''] = await taskIds(importId);
  expect(await deleter.deleteTask(pending)).toMatchObject({
    __typename: 'TaskCannotBeDeletedError',
    status: 'PENDING',
  });
  const [ready = ''] = await taskIds(await insertFinishedImport(rows, team, { tasks: 1 }));
  expect(await deleter.deleteTask(ready)).toEqual({
    __typename: 'TaskCannotBeDeletedError',
    status: 'READY',
    message: 'The video of this task is there. Delete the video first.',
  });
  const { video_id: videoId } = await rows.one<{ video_id: string }>(
    'select video_id from tasks where id = $1',
    [ready.slice('task_'.length)],
  );
  expect(await deleter.deleteVideo(`vid_${videoId}`)).toMatchObject({ __typename: 'DeleteVideoSuccess' });
  expect(await deleter.deleteTask(ready)).toEqual({ __typename: 'DeleteTaskSuccess', deletedId: ready });
  expect(await deleter.deleteTask(ready)).toEqual({ __typename: 'NotFoundError', path: ['id'] });
});

test('the import of deleted tasks counts them on: while it runs, when it ends, and when it is retried', async () => {
  const importId = await insertRunningImport();
  const before = await look(importId);
  expect(before.counts).toMatchObject({ found: 5, ready: 1, skipped: 1, failed: 1, canceled: 1, pending: 1 });
  const [ready = '', skipped = '', failed = '', canceled = '', pending = ''] = await taskIds(importId);
  for (const id of [ready, skipped, failed, canceled])
    expect(await deleter.deleteTask(id)).toMatchObject({ __typename: 'DeleteTaskSuccess' });
  // Counts of a running import may be a second old.
  const counted = await waitFor(async () => {
    const found = await look(importId);
    return found.tasks.totalCount === 1 && found;
  });
  expect({ ...counted, tasks: null }).toEqual({ ...before, tasks: null });
  const uncached = await rows.one<{ deleted_counts: unknown }>(
    'select deleted_counts from imports where id = $1',
    [importId],
  );
  expect(uncached.deleted_counts).toEqual({
    ready: 1,
    skipped: 1,
    failed: 1,
    canceled: 1,
    bytesDone: 40,
    bytesTotal: 40,
  });

  await server.query(CANCEL, { id: pending });
  const ended = await look(importId);
  expect(ended).toMatchObject({
    state: 'SUCCEEDED',
    hasFailures: true,
    progress: { bytesDone: 50, bytesTotal: 50 },
  });
  expect(ended.counts).toMatchObject({ found: 5, ready: 1, skipped: 1, failed: 1, canceled: 2 });
  expect(ended.tasks.totalCount).toBe(1);

  expect((await server.query(RETRY, { id: `imp_${importId}` })).retryImport.__typename).toBe(
    'RetryImportSuccess',
  );
  const running = await look(importId);
  expect(running).toMatchObject({ state: 'STARTED', counts: { found: 5, ready: 1, skipped: 1, failed: 1 } });
  await server.query(CANCEL, { id: pending });
  expect(await look(importId)).toMatchObject({ finished: true, counts: ended.counts });
});

test('an import counts at once what is deleted while nobody asks for it', async () => {
  const importId = await insertRunningImport();
  const [ready = ''] = await taskIds(importId);
  expect(await deleter.deleteTask(ready)).toMatchObject({ __typename: 'DeleteTaskSuccess' });
  expect((await look(importId)).counts).toMatchObject({ found: 5, ready: 1, pending: 1 });
});

test('of many who delete a task at once one does, and it is counted once', async () => {
  const importId = await insertRunningImport();
  const [, , failed = ''] = await taskIds(importId);
  const answers = await Promise.all(Array.from({ length: 10 }, () => deleter.deleteTask(failed)));
  expect(answers.filter(({ __typename }) => __typename === 'DeleteTaskSuccess')).toHaveLength(1);
  expect((await look(importId)).counts).toMatchObject({ found: 5, failed: 1 });
});

test('an id that names nothing is not found', async () => {
  for (const id of ['', 'task_', `task_${randomUUID()}`, `imp_${randomUUID()}`])
    expect(await deleter.deleteTask(id)).toEqual({ __typename: 'NotFoundError', path: ['id'] });
});
