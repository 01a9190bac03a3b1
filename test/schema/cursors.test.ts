import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { graphql } from '../support/graphql.ts';
import { firstTeam, insertFinishedImport, openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const LISTS = graphql(`
  query Lists($id: ID!) {
    tasks(first: 1) { edges { cursor } }
    byUpdate: tasks(first: 1, orderBy: { field: UPDATED_AT, direction: DESC }) { edges { cursor } }
    oldest: tasks(first: 1, orderBy: { field: CREATED_AT, direction: ASC }) { edges { cursor } }
    videos(first: 1) { edges { cursor } }
    imports(first: 1) { edges { cursor } }
    indexes(first: 1) { edges { cursor } }
    import(id: $id) { cursor tasks(first: 1) { edges { cursor } } }
  }
`);
const TASKS = graphql(`
  query TasksFrom($after: String, $before: String) { tasks(first: 5, after: $after, before: $before) { nodes { id } } }
`);
const TASKS_OF_IMPORT = graphql(`
  query TasksOfImportFrom($id: ID!, $after: String, $before: String) {
    import(id: $id) { tasks(after: $after, before: $before) { nodes { id } } }
  }
`);
const COUNT_OF_IMPORT = graphql(`
  query CountOfImportFrom($id: ID!, $after: String, $before: String) {
    import(id: $id) { tasks(after: $after, before: $before) { totalCount } }
  }
`);

let server: TestServer;
let rows: Rows;
let importId: string;
let otherImportId: string;

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  const team = await firstTeam(rows, server.key);
  importId = `imp_${await insertFinishedImport(rows, team, { tasks: 20 })}`;
  otherImportId = `imp_${await insertFinishedImport(rows, team, { tasks: 20, videos: 0 })}`;
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

const encode = (text: string) => Buffer.from(text).toString('base64url');
const decode = (cursor: string) => Buffer.from(cursor, 'base64url').toString();

async function cursorsOfAllLists() {
  const lists = await server.query(LISTS, { id: importId });
  const first = (list: { readonly edges: readonly { readonly cursor: string }[] } | undefined) => {
    const cursor = list?.edges[0]?.cursor;
    if (cursor === undefined) throw new Error('an empty list');
    return cursor;
  };
  return {
    tasks: first(lists.tasks),
    byUpdate: first(lists.byUpdate),
    oldest: first(lists.oldest),
    videos: first(lists.videos),
    imports: first(lists.imports),
    indexes: first(lists.indexes),
    tasksOfImport: first(lists.import?.tasks),
    progress: lists.import?.cursor ?? '',
  };
}

/** A cursor of the parts given: what a client could make up that has seen one. */
const made = (...parts: readonly unknown[]) => encode(JSON.stringify(parts));

const ID = '00000000-0000-4000-8000-000000000000';
const LIST = 'tasks createdAt desc';
const NOW = Date.UTC(2026, 0, 1);

async function expectRefused(cursor: string) {
  for (const variables of [{ after: cursor }, { before: cursor }]) {
    const answer = await server.send(TASKS, variables);
    expect(answer.errors?.map(({ extensions }) => extensions?.code)).toEqual(['BAD_USER_INPUT']);
    expect(answer.errors?.[0]?.message).toContain('is not a cursor of this list');
  }
}

test('what is made up in the way of a real cursor is taken, so that what is refused here is refused for its flaw', async () => {
  const cursors = await cursorsOfAllLists();
  expect(decode(cursors.tasks)).toContain(LIST);
  expect((await server.query(TASKS, { after: made(LIST, NOW, ID, null) })).tasks.nodes).toEqual([]);
  expect((await server.query(TASKS, { before: made(LIST, NOW, ID, null) })).tasks.nodes).toHaveLength(5);
});

test('the cursor of another list or of another order is refused', async () => {
  const { tasks: own, tasksOfImport, ...others } = await cursorsOfAllLists();
  for (const cursor of [...Object.values(others), tasksOfImport]) await expectRefused(cursor);
  const answer = await server.send(TASKS_OF_IMPORT, { id: importId, after: own });
  expect(answer.errors?.map(({ extensions }) => extensions?.code)).toEqual(['BAD_USER_INPUT']);
});

test("the cursor of another import's tasks is refused, forwards and backwards, whatever else is asked for", async () => {
  const { tasksOfImport } = await cursorsOfAllLists();
  expect((await server.query(TASKS_OF_IMPORT, { id: importId, after: tasksOfImport })).import).not.toBeNull();
  for (const page of [{ after: tasksOfImport }, { before: tasksOfImport }]) {
    const answer = await server.send(TASKS_OF_IMPORT, { id: otherImportId, ...page });
    expect(answer.errors?.map(({ extensions }) => extensions?.code)).toEqual(['BAD_USER_INPUT']);
    const counted = await server.send(COUNT_OF_IMPORT, { id: otherImportId, ...page });
    expect(counted.errors?.map(({ extensions }) => extensions?.code)).toEqual(['BAD_USER_INPUT']);
  }
});

describe('refused as no cursor', () => {
  test.each([
    ['nothing', ''],
    ['text', 'garbage'],
    ['U+0000', '\0'],
    ['emoji', '😀😀'],
    ['a number', '5'],
    ['very long text', 'A'.repeat(100_000)],
    ['no JSON', encode('[')],
    ['an object', encode('{}')],
    ['null', encode('null')],
    ['one value', made(LIST)],
    ['three values', made(LIST, NOW, ID)],
    ['five values', made(LIST, NOW, ID, null, null)],
    ['nested values', made([LIST], [NOW], [ID], [null])],
  ])('%s', async (_, cursor) => {
    await expectRefused(cursor);
  });

  test.each([
    ['a text for the instant', made(LIST, '2026-01-01', ID, null)],
    ['null for the instant', made(LIST, null, ID, null)],
    ['a fraction for the instant', made(LIST, NOW + 0.5, ID, null)],
    ['an instant before all that PostgreSQL knows', made(LIST, -8640000000000000, ID, null)],
    ['an instant of the year 0', made(LIST, -62167219200000, ID, null)],
    ['an instant far ahead', made(LIST, 8640000000000000, ID, null)],
    ['a number for the id', made(LIST, NOW, 5, null)],
    ['a text for the id', made(LIST, NOW, 'x', null)],
    ['dashes for the id', made(LIST, NOW, '-'.repeat(36), null)],
    ['an object for the id', made(LIST, NOW, {}, null)],
    ['an SQL injection for the list', made(`${LIST}'; drop table tasks; --`, NOW, ID, null)],
    ['a number for the list', made(1, NOW, ID, null)],
    ['a text for the parent', made(LIST, NOW, ID, 'x')],
  ])('%s', async (_, cursor) => {
    await expectRefused(cursor);
  });

  test.each([
    ['an instant', NOW],
    ['a fraction', 1.5],
    ['a number too large', 1e300],
    ['a number past 32 bits', 4294967296],
    ['a text', '1'],
    ['nothing', null],
  ])("%s for the position in an import's tasks", async (_, position) => {
    const { tasksOfImport } = await cursorsOfAllLists();
    const parts: unknown = JSON.parse(decode(tasksOfImport));
    if (!Array.isArray(parts)) throw new Error('cursors look otherwise now');
    const after = made(parts[0], position, ...parts.slice(2));
    const answer = await server.send(TASKS_OF_IMPORT, { id: importId, after });
    expect(answer.errors?.map(({ extensions }) => extensions?.code)).toEqual(['BAD_USER_INPUT']);
  });
});
