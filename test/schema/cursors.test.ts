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
  query TasksOfImportFrom($id: ID!, $after: String) { import(id: $id) { tasks(after: $after) { nodes { id } } } }
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

const encode = (text: string) => Buffer.from(text).toString('base64');
const decode = (cursor: string) => Buffer.from(cursor, 'base64').toString();

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
const made = (...parts: readonly string[]) => encode(`DC:T:${JSON.stringify(parts)}`);

const ID = 'S:00000000-0000-4000-8000-000000000000';
const LIST = 'S:tasks createdAt desc';
const NOW = `D:${Date.UTC(2026, 0, 1)}`;

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
  expect((await server.query(TASKS, { after: made(NOW, ID, LIST) })).tasks.nodes).toEqual([]);
  expect((await server.query(TASKS, { before: made(NOW, ID, LIST) })).tasks.nodes).toHaveLength(5);
});

test('the cursor of another list or of another order is refused', async () => {
  const { tasks: own, tasksOfImport, ...others } = await cursorsOfAllLists();
  for (const cursor of [...Object.values(others), tasksOfImport]) await expectRefused(cursor);
  const answer = await server.send(TASKS_OF_IMPORT, { id: importId, after: own });
  expect(answer.errors?.map(({ extensions }) => extensions?.code)).toEqual(['BAD_USER_INPUT']);
});

// Not yet: it is taken for a position in this import's list, which shows this import's tasks and no others.
test.fails("the cursor of another import's tasks is refused", async () => {
  const { tasksOfImport } = await cursorsOfAllLists();
  expect((await server.query(TASKS_OF_IMPORT, { id: importId, after: tasksOfImport })).import).not.toBeNull();
  const answer = await server.send(TASKS_OF_IMPORT, { id: otherImportId, after: tasksOfImport });
  expect(answer.errors?.map(({ extensions }) => extensions?.code)).toEqual(['BAD_USER_INPUT']);
});

describe('refused as no cursor', () => {
  test.each([
    ['nothing', ''],
    ['text', 'garbage'],
    ['U+0000', '\0'],
    ['emoji', '😀😀'],
    ['a number', '5'],
    ['very long text', 'A'.repeat(100_000)],
    ['an empty prefix', encode('DC:')],
    ['another prefix', encode(`GPC:T:${JSON.stringify([NOW, ID, LIST])}`)],
    ['no JSON', encode('DC:T:[')],
    ['an object', encode('DC:O:{}')],
    ['null', encode('DC:Z:')],
    ['one value', encode(`DC:${NOW}`)],
    ['two values', made(NOW, ID)],
    ['four values', made(NOW, ID, LIST, LIST)],
    ['nested values', encode('DC:T:[["D:1"],["S:x"],["S:y"]]')],
  ])('%s', async (_, cursor) => {
    await expectRefused(cursor);
  });

  test.each([
    ['a number for the instant', made('N:5', ID, LIST)],
    ['a text for the instant', made('S:2026-01-01', ID, LIST)],
    ['null for the instant', encode(`DC:T:${JSON.stringify([null, ID, LIST])}`)],
    ['no instant', made('D:x', ID, LIST)],
    ['an instant before all that PostgreSQL knows', made('D:-8640000000000000', ID, LIST)],
    ['an instant of the year 0', made('D:-62167219200000', ID, LIST)],
    ['an instant far ahead', made('D:8640000000000000', ID, LIST)],
    ['a number for the id', made(NOW, 'N:5', LIST)],
    ['a text for the id', made(NOW, 'S:x', LIST)],
    ['dashes for the id', made(NOW, `S:${'-'.repeat(36)}`, LIST)],
    ['an object for the id', made(NOW, 'O:{}', LIST)],
    ['bytes for the id', made(NOW, 'B:AAAA', LIST)],
    ['an SQL injection for the list', made(NOW, ID, `${LIST}'; drop table tasks; --`)],
    ['a number for the list', made(NOW, ID, 'N:1')],
  ])('%s', async (_, cursor) => {
    await expectRefused(cursor);
  });

  test.each([
    ['an instant', 'D:5'],
    ['a fraction', 'N:1.5'],
    ['a number too large', 'N:1e300'],
    ['a number past 32 bits', 'N:4294967296'],
    ['no number', 'N:x'],
    ['infinity', 'N:Infinity'],
  ])("%s for the position in an import's tasks", async (_, position) => {
    const { tasksOfImport } = await cursorsOfAllLists();
    const parts: unknown = JSON.parse(decode(tasksOfImport).slice('DC:T:'.length));
    if (!Array.isArray(parts)) throw new Error('cursors look otherwise now');
    const after = made(position, ...parts.slice(1));
    const answer = await server.send(TASKS_OF_IMPORT, { id: importId, after });
    expect(answer.errors?.map(({ extensions }) => extensions?.code)).toEqual(['BAD_USER_INPUT']);
  });
});
