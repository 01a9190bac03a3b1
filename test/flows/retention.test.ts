import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDatabase, type Database } from '../../src/db/client.ts';
import { toPublicId } from '../../src/services/public-ids.ts';
import { removeExpired } from '../../src/services/retention.ts';
import { log } from '../jobs/support.ts';
import { graphql } from '../support/graphql.ts';
import { firstTeam, insertFinishedImport, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const COUNTS = graphql(`
  query ExpiredCounts($id: ID!) {
    import(id: $id) {
      state counts { found rejected ready failed } progress { fraction bytesDone }
      tasks(first: 1) { totalCount } failedFiles(first: 1) { totalCount }
    }
  }
`);
const RETRY = graphql(`
  mutation RetryExpired($id: ID!) { retryImport(id: $id) { __typename ... on Error { message } } }
`);
const RETRY_TASK = graphql(`
  mutation RetryExpiredTask($id: ID!) { retryTask(id: $id) { __typename ... on Error { message } } }
`);

const signal = new AbortController().signal;
let server: TestServer;
let rows: Rows;
let team: TeamRows;
let database: { readonly db: Database; close(): Promise<void> };

beforeAll(async () => {
  server = await startTestServer({ SLUICE_RETAIN_DAYS: '30' });
  rows = await openRows(server.databaseUrl);
  team = await firstTeam(rows, server.key);
  database = createDatabase({ url: server.databaseUrl, log, applicationName: 'test' });
});

afterAll(async () => {
  await database?.close();
  await rows?.close();
  await server?.stop();
});

beforeEach(async () => {
  // Nothing is truncated: that locks whole tables, in another order than what the server does meanwhile.
  for (const table of ['tasks', 'import_entries', 'failed_files', 'idempotency_keys', 'imports'])
    await rows.all(`delete from ${table}`);
});

const NOTHING = { keys: 0, entries: 0, failedFiles: 0, tasks: 0, deletions: 0, deliveries: 0, secrets: 0 };

const remove = (retainDays = 30, given = signal) => removeExpired(database, { retainDays, signal: given });

/** Every import has the same pairs: each needs an index of its own. */
async function insertIndex(): Promise<string> {
  const { id } = await rows.one<{ id: string }>(
    `insert into indexes (id, team_id, name) values (gen_random_uuid(), $1, 'One more') returning id`,
    [team.teamId],
  );
  return id;
}

/** Made so many days ago: as many entries and rejected files as tasks; the last tasks have no video and have failed. */
async function store(
  daysAgo: number,
  { tasks, videos }: { readonly tasks: number; readonly videos: number },
) {
  const indexId = await insertIndex();
  const importId = await insertFinishedImport(rows, { ...team, indexId }, { tasks, videos });
  await rows.all(`update imports set finished_at = now() - $2 * interval '1 day' where id = $1`, [
    importId,
    daysAgo,
  ]);
  await rows.all(
    `update tasks set status = 'FAILED', outcome = 'FAILED', fraction = 0, error = '{"code": "INTERNAL", "message": "No.", "retryable": true}'
      where import_id = $1 and ordinal >= $2`,
    [importId, videos],
  );
  await rows.all(
    `insert into import_entries (import_id, ordinal, input, verdict) select $1, n, '{}', 'TASK' from generate_series(0, $2 - 1) n`,
    [importId, tasks],
  );
  await rows.all(
    `insert into failed_files (id, team_id, import_id, ordinal, file_name, name, error_code, error_message, error_retryable)
     select gen_random_uuid(), $1, $2, n, 'a', 'a', 'UNSUPPORTED_MEDIA_TYPE', 'No video.', false from generate_series(0, $3 - 1) n`,
    [team.teamId, importId, tasks],
  );
  return importId;
}

const left = (importId: string) =>
  rows.one<{ tasks: number; entries: number; files: number }>(
    `select (select count(*) from tasks where import_id = $1)::int as tasks,
            (select count(*) from import_entries where import_id = $1)::int as entries,
            (select count(*) from failed_files where import_id = $1)::int as files`,
    [importId],
  );

test('what is kept for a while only goes, in batches; imports stay with their counts', async () => {
  const old = await store(31, { tasks: 2_300, videos: 300 });
  const young = await store(29, { tasks: 4, videos: 2 });
  expect(await remove()).toEqual({
    ...NOTHING,
    entries: 2_300,
    failedFiles: 2_300,
    tasks: 2_000,
  });
  expect(await left(old)).toEqual({ tasks: 300, entries: 0, files: 0 });
  expect(await left(young)).toEqual({ tasks: 4, entries: 4, files: 4 });
  expect((await server.query(COUNTS, { id: toPublicId('Import', old) })).import).toEqual({
    state: 'SUCCEEDED',
    counts: { found: 2_300, rejected: 0, ready: 2_300, failed: 0 },
    progress: { fraction: 1, bytesDone: 2_300 },
    tasks: { totalCount: 300 },
    failedFiles: { totalCount: 0 },
  });
  expect(await remove()).toEqual(NOTHING);
});

test('a task whose video goes later goes then', async () => {
  const old = await store(40, { tasks: 3, videos: 3 });
  await remove();
  await rows.all('delete from videos where id = (select video_id from tasks where import_id = $1 limit 1)', [
    old,
  ]);
  expect(await remove()).toMatchObject({ tasks: 1 });
});

test('with 0 days imports keep everything; keys go all the same, after two days', async () => {
  const old = await store(5_000, { tasks: 2, videos: 1 });
  for (const hours of [1, 25, 47, 49, 500])
    await rows.all(
      `insert into idempotency_keys (team_id, key, input_hash, import_id, created_at) values ($1, $2, '', $3, now() - $2::text::int * interval '1 hour')`,
      [team.teamId, String(hours), old],
    );
  expect(await remove(0)).toEqual({ ...NOTHING, keys: 2 });
  expect(await rows.all('select key from idempotency_keys order by key::int')).toEqual([
    { key: '1' },
    { key: '25' },
    { key: '47' },
  ]);
});

test('what an import needs that has not finished, or is opened again, stays', async () => {
  const open = await store(90, { tasks: 3, videos: 1 });
  await rows.all(`update imports set state = 'STARTED', finished_at = null, counts = null where id = $1`, [
    open,
  ]);
  const retried = await store(90, { tasks: 3, videos: 1 });
  await rows.all('begin');
  // As whoever retries it does: it is locked, and has not finished any more when the lock is free.
  await rows.all('select from imports where id = $1 for update', [retried]);
  const removing = remove();
  const observer = await openRows(server.databaseUrl);
  try {
    await waitFor(
      async () =>
        (
          await observer.all(
            `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
          )
        ).length > 0,
    );
  } finally {
    await observer.close();
  }
  await rows.all(`update imports set state = 'STARTED', finished_at = null, counts = null where id = $1`, [
    retried,
  ]);
  await rows.all('commit');
  expect(await removing).toEqual(NOTHING);
  for (const id of [open, retried]) expect(await left(id)).toEqual({ tasks: 3, entries: 3, files: 3 });
});

test('an import that is not whole any more cannot be retried, nor can a task of it', async () => {
  const old = await store(31, { tasks: 4, videos: 2 });
  await rows.all(
    `update tasks set status = 'FAILED', outcome = 'FAILED', fraction = 0, error = '{"code": "INTERNAL", "message": "No.", "retryable": true}'
      where import_id = $1 and ordinal = 0`,
    [old],
  );
  await remove();
  const id = toPublicId('Import', old);
  expect((await server.query(RETRY, { id })).retryImport).toMatchObject({
    __typename: 'ImportCannotBeRetriedError',
    message: expect.stringContaining('removed'),
  });
  const { id: taskId } = await rows.one<{ id: string }>(
    'select id from tasks where import_id = $1 and ordinal = 0',
    [old],
  );
  const { retryTask } = await server.query(RETRY_TASK, { id: toPublicId('Task', taskId) });
  expect(retryTask).toMatchObject({
    __typename: 'TaskCannotBeRetriedError',
    message: expect.stringContaining('removed'),
  });
  expect(await rows.one(`select status from tasks where id = $1`, [taskId])).toEqual({ status: 'FAILED' });

  const whole = await store(1, { tasks: 2, videos: 1 });
  expect((await server.query(RETRY, { id: toPublicId('Import', whole) })).retryImport.__typename).toBe(
    'RetryImportSuccess',
  );
});

test('it ends between two batches when it is told to', async () => {
  const old = await store(31, { tasks: 1_500, videos: 0 });
  const controller = new AbortController();
  controller.abort(new Error('enough'));
  await expect(remove(30, controller.signal)).rejects.toThrow('enough');
  expect(await left(old)).toEqual({ tasks: 1_500, entries: 1_500, files: 1_500 });
});

test('the server removes by itself, by one job for all, which plans its next run', async () => {
  const old = await store(31, { tasks: 2, videos: 1 });
  const planned = await waitFor(async () => {
    const [job] = await rows.all<{ id: string; days: number }>(
      `select id from jobs where kind = 'remove-expired' and run_at > now() + interval '4 hours'`,
    );
    return job;
  });
  await rows.all('update jobs set run_at = now() where id = $1', [planned.id]);
  await waitFor(async () => (await left(old)).entries === 0, { what: 'the entries to go' });
  const next = await waitFor(async () => {
    const found = await rows.all<{ id: string }>(`select id from jobs where kind = 'remove-expired'`);
    expect(found.length).toBeLessThanOrEqual(1);
    return found[0] !== undefined && found[0].id !== planned.id && found[0];
  });
  expect(next).toBeDefined();
  expect(await left(old)).toEqual({ tasks: 1, entries: 0, files: 0 });
});

test('messages go with the rest when they need not be sent any more, and secrets that sign no more', async () => {
  const old = await store(31, { tasks: 0, videos: 0 });
  const young = await store(29, { tasks: 0, videos: 0 });
  for (const importId of [old, young]) {
    await rows.all(
      `insert into webhook_deliveries (id, import_id, run, body, state, next_attempt_at)
       values (gen_random_uuid(), $1, 1, '{}', 'DELIVERED', null), (gen_random_uuid(), $1, 2, '{}', 'GAVE_UP', null),
              (gen_random_uuid(), $1, 3, '{}', 'RETRYING', now())`,
      [importId],
    );
  }
  await rows.all(
    `insert into webhook_secrets (id, team_id, secret, expires_at)
     select gen_random_uuid(), $1, 'sealed', now() + n * interval '1 minute' from unnest('{-1, 1}'::int[]) n`,
    [team.teamId],
  );
  expect(await remove()).toEqual({ ...NOTHING, deliveries: 2, secrets: 1 });
  const kept = await rows.all(
    'select run, import_id from webhook_deliveries order by import_id = $1 desc, run',
    [old],
  );
  expect(kept).toEqual([{ run: 3, import_id: old }, ...[1, 2, 3].map((run) => ({ run, import_id: young }))]);
});
