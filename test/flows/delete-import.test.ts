import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toPublicId } from '../../src/services/public-ids.ts';
import { createTestClient } from '../support/client.ts';
import { graphql } from '../support/graphql.ts';
import {
  firstTeam,
  insertFinishedImport,
  insertTeam,
  openRows,
  type Rows,
  type TeamRows,
} from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const DELETE = graphql(`
  mutation DeleteImport($id: ID!) {
    deleteImport(id: $id) {
      __typename
      ... on Error { message }
      ... on DeleteImportSuccess { deletedId }
      ... on ImportNotFinishedError { state }
    }
  }
`);
const LOOK = graphql(`
  query DeletedImport($id: ID!) {
    node(id: $id) { id }
    import(id: $id) { id }
    importStatus(id: $id) { id }
    imports(first: 50) { nodes { id } }
    ofImport: tasks(first: 1, filter: { importId: $id }) { totalCount nodes { id } }
  }
`);
const TASKS = graphql(`
  query TasksOfDeleted($first: ID!, $last: ID!, $file: ID!) {
    stays: task(id: $first) { id status import { id } video { id } }
    goes: task(id: $last) { id import { id } }
    file: node(id: $file) { id }
    tasks(first: 1) { totalCount }
  }
`);
const RETRY = graphql(`mutation RetryDeleted($id: ID!) { retryImport(id: $id) { __typename } }`);
const FOLLOW = graphql(`
  subscription FollowDeleted($id: ID!) { taskProgress(id: $id) { task { id import { id } } } }
`);

let server: TestServer;
let rows: Rows;
let team: TeamRows;

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  team = await firstTeam(rows, server.key);
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

const askToDelete = async (id: string, client: Pick<TestServer, 'query'> = server) =>
  (await client.query(DELETE, { id })).deleteImport;

/** Every import has the same pairs: each needs an index of its own. */
async function insertIndex(): Promise<string> {
  const { id } = await rows.one<{ id: string }>(
    `insert into indexes (id, team_id, name) values (gen_random_uuid(), $1, 'One more') returning id`,
    [team.teamId],
  );
  return id;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

interface Stored {
  readonly importId: string;
  readonly id: string;
  /** Of the first task, whose video is there, and of the last one, whose video is not. */
  readonly first: string;
  readonly last: string;
  readonly file: string;
}

/** A finished import of which the first tasks have videos, with as many entries and rejected files as it has tasks. */
async function store(tasks: number, videos: number): Promise<Stored> {
  const indexId = await insertIndex();
  const importId = await insertFinishedImport(rows, { ...team, indexId }, { tasks, videos });
  await rows.all(
    `insert into import_entries (import_id, ordinal, input, verdict) select $1, n, '{}', 'TASK' from generate_series(0, $2 - 1) n`,
    [importId, tasks],
  );
  await rows.all(
    `insert into failed_files (id, team_id, import_id, ordinal, file_name, name, error_code, error_message, error_retryable)
     select gen_random_uuid(), $1, $2, n, 'a', 'a', 'UNSUPPORTED_MEDIA_TYPE', 'No video.', false from generate_series(0, $3 - 1) n`,
    [team.teamId, importId, tasks],
  );
  await rows.all(
    'insert into idempotency_keys (team_id, key, input_hash, import_id) values ($1, $2, $2, $3)',
    [team.teamId, `key of ${importId}`, importId],
  );
  const found = await rows.one<{ first: string; last: string; file: string }>(
    `select (select id from tasks where import_id = $1 order by ordinal limit 1) as first,
            (select id from tasks where import_id = $1 order by ordinal desc limit 1) as last,
            (select id from failed_files where import_id = $1 limit 1) as file`,
    [importId],
  );
  return {
    importId,
    id: toPublicId('Import', importId),
    first: toPublicId('Task', found.first),
    last: toPublicId('Task', found.last),
    file: toPublicId('FailedFile', found.file),
  };
}

/** What still holds the id of an import, in all tables. */
const leftOf = ({ importId }: Stored) =>
  rows.one<{ left: number }>(
    `select ((select count(*) from imports where id = $1) + (select count(*) from tasks where import_id = $1)
      + (select count(*) from import_entries where import_id = $1) + (select count(*) from failed_files where import_id = $1)
      + (select count(*) from idempotency_keys where import_id = $1) + (select count(*) from jobs where subject_id = $1))::int as left`,
    [importId],
  );

async function expectGone({ id }: Stored): Promise<void> {
  const seen = await server.query(LOOK, { id });
  expect(seen).toMatchObject({
    node: null,
    import: null,
    importStatus: null,
    ofImport: { totalCount: 0, nodes: [] },
  });
  expect(seen.imports.nodes.map((node) => node.id)).not.toContain(id);
}

describe('a finished import', () => {
  test('goes with all that is its own; tasks whose videos are there stay', async () => {
    const stored = await store(5, 3);
    expect(await askToDelete(stored.id)).toEqual({ __typename: 'DeleteImportSuccess', deletedId: stored.id });
    await expectGone(stored);
    expect(await leftOf(stored)).toEqual({ left: 0 });
    const { first, last, file } = stored;
    expect(await server.query(TASKS, { first, last, file })).toMatchObject({
      stays: { id: first, status: 'READY', import: null, video: {} },
      goes: null,
      file: null,
      tasks: { totalCount: 3 },
    });
    expect((await server.query(RETRY, { id: stored.id })).retryImport.__typename).toBe('NotFoundError');
    expect(await askToDelete(stored.id)).toMatchObject({ __typename: 'NotFoundError' });
    const events = await collect(server.overWebSocket(FOLLOW, { id: first }));
    expect(events).toEqual([{ taskProgress: { task: { id: first, import: null } } }]);
    await expect(collect(server.overEvents(FOLLOW, { id: last }))).rejects.toThrow('no such task');
  });

  test('of thousands of tasks is gone at once, and what is left of it follows though its first run breaks off', async () => {
    const stored = await store(2_500, 1_200);
    const before = await rows.count('tasks');
    const blocker = await openRows(server.databaseUrl);
    try {
      // In the second batch: the first one is committed, and the call goes no further.
      await blocker.all('begin');
      await blocker.all('select from tasks where import_id = $1 and ordinal = 1500 for update', [
        stored.importId,
      ]);
      const asked = askToDelete(stored.id);
      const blocked = await waitFor(async () => {
        const [found] = await rows.all<{ pid: number }>(
          `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%from tasks t%'`,
        );
        return found;
      });
      await expectGone(stored);
      const { first, last, file } = stored;
      expect(await server.query(TASKS, { first, last, file })).toMatchObject({
        stays: { import: null },
        goes: { import: null },
      });
      expect(await rows.count('tasks')).toBeGreaterThan(before - 1_300);
      await rows.all('select pg_terminate_backend($1)', [blocked.pid]);
      expect(await asked).toMatchObject({ __typename: 'DeleteImportSuccess' });
    } finally {
      await blocker.all('rollback');
      await blocker.close();
    }
    await waitFor(async () => (await leftOf(stored)).left === 0, { what: 'the rest to go' });
    expect(await rows.count('tasks')).toBe(before - 1_300);
  });

  test('is deleted by one of many calls', async () => {
    const stored = await store(40, 20);
    const results = await Promise.all(Array.from({ length: 8 }, () => askToDelete(stored.id)));
    const names = results.map(({ __typename }) => __typename).sort();
    expect(names).toEqual(['DeleteImportSuccess', ...Array(7).fill('NotFoundError')]);
    expect(await leftOf(stored)).toEqual({ left: 0 });
  });
});

test('an import that has not finished stays', async () => {
  const stored = await store(2, 1);
  // The task first: housekeeping ends an import that has no open one.
  await rows.all(
    `update tasks set status = 'PENDING', outcome = null, finished_at = null, fraction = 0, waiting_for = 'WORKER'
      where import_id = $1 and ordinal = 1`,
    [stored.importId],
  );
  await rows.all(`update imports set state = 'STARTED', finished_at = null, counts = null where id = $1`, [
    stored.importId,
  ]);
  expect(await askToDelete(stored.id)).toMatchObject({
    __typename: 'ImportNotFinishedError',
    state: 'STARTED',
  });
  await rows.all(`update imports set state = 'CANCELED' where id = $1`, [stored.importId]);
  expect(await askToDelete(stored.id)).toMatchObject({
    __typename: 'ImportNotFinishedError',
    state: 'CANCELED',
  });
  expect((await server.query(LOOK, { id: stored.id })).import).toEqual({ id: stored.id });
});

test('what is not of the team, or no import at all, is not found', async () => {
  const stored = await store(1, 1);
  const other = createTestClient({ url: server.url, key: (await insertTeam(rows, 'Other')).key });
  const before = await leftOf(stored);
  for (const id of [stored.id, stored.first, 'imp_nonsense', toPublicId('Import', team.teamId)])
    expect(await askToDelete(id, other)).toMatchObject({ __typename: 'NotFoundError' });
  expect(await leftOf(stored)).toEqual(before);
});
