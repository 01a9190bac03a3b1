import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { graphql } from '../support/graphql.ts';
import { firstTeam, insertFinishedImport, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { type PageVariables, walkBackwards, walkForwards } from './paging.ts';

const COUNT = 700;
const PAGE = 7;

const TASKS = graphql(`
  query Tasks($first: Int, $after: String, $last: Int, $before: String, $orderBy: TaskOrder) {
    tasks(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy) {
      nodes { id }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
`);
const VIDEOS = graphql(`
  query Videos($first: Int, $after: String, $last: Int, $before: String, $orderBy: VideoOrder) {
    videos(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy) {
      nodes { id }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
`);
const TASKS_OF_IMPORT = graphql(`
  query TasksOfImport($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
    import(id: $id) {
      tasks(first: $first, after: $after, last: $last, before: $before) {
        nodes { id }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }
  }
`);

const ORDERS = (['CREATED_AT', 'UPDATED_AT'] as const).flatMap((field) =>
  (['ASC', 'DESC'] as const).map((direction) => ({ field, direction })),
);

let server: TestServer;
let rows: Rows;
let team: TeamRows;
let importId: string;

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  team = await firstTeam(rows, server.key);
  importId = await insertFinishedImport(rows, team, { tasks: COUNT, videos: 300 });
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

const idsInOrder = async (table: string, prefix: string, order: string) =>
  (await rows.all<{ id: string }>(`select id from ${table} order by ${order}`)).map(
    ({ id }) => `${prefix}_${id}`,
  );

const readTasksOfImport = async (page: PageVariables) => {
  const answer = await server.query(TASKS_OF_IMPORT, { id: `imp_${importId}`, ...page });
  if (!answer.import) throw new Error('the import is not there');
  return answer.import.tasks;
};

describe('rows of the same instant', () => {
  test('are of the same instant', async () => {
    const [instants] = await rows.all<{ n: number }>(
      'select count(distinct (created_at, updated_at))::int as n from tasks',
    );
    expect(instants?.n).toBe(1);
  });

  test.each(ORDERS)('tasks by $field $direction come once each, page by page, both ways', async (orderBy) => {
    const read = async (page: PageVariables) => (await server.query(TASKS, { ...page, orderBy })).tasks;
    const expected = await idsInOrder('tasks', 'task', `id ${orderBy.direction}`);
    const [forwards, backwards] = await Promise.all([walkForwards(read, PAGE), walkBackwards(read, PAGE)]);
    expect(forwards).toHaveLength(COUNT);
    expect(forwards).toEqual(expected);
    expect(backwards).toEqual(expected);
  });

  test.each(ORDERS)(
    'videos by $field $direction come once each, page by page, both ways',
    async (orderBy) => {
      const read = async (page: PageVariables) => (await server.query(VIDEOS, { ...page, orderBy })).videos;
      const expected = await idsInOrder('videos', 'vid', `id ${orderBy.direction}`);
      expect(expected).toHaveLength(300);
      expect(await walkForwards(read, PAGE)).toEqual(expected);
      expect(await walkBackwards(read, PAGE)).toEqual(expected);
    },
  );

  test('the tasks of an import come once each in the order of the request, both ways', async () => {
    const expected = await idsInOrder('tasks', 'task', 'ordinal');
    const [forwards, backwards] = await Promise.all([
      walkForwards(readTasksOfImport, PAGE),
      walkBackwards(readTasksOfImport, PAGE),
    ]);
    expect(forwards).toEqual(expected);
    expect(backwards).toEqual(expected);
  });
});

describe('a page', () => {
  const DEFAULTS = graphql(`
    query Defaults($id: ID!) {
      tasks { nodes { id } pageInfo { hasNextPage hasPreviousPage } totalCount edges { cursor node { id } } }
      videos { nodes { id } totalCount }
      imports { nodes { id } totalCount }
      indexes { nodes { id } totalCount }
      import(id: $id) { tasks { nodes { id } totalCount } failedFiles { nodes { id } totalCount } }
    }
  `);

  test('is the first ten, newest first, and totalCount counts all', async () => {
    const answer = await server.query(DEFAULTS, { id: `imp_${importId}` });
    const newest = (await idsInOrder('tasks', 'task', 'created_at desc, id desc')).slice(0, 10);
    expect(answer.tasks.nodes.map(({ id }) => id)).toEqual(newest);
    expect(answer.tasks.edges.map(({ node }) => node.id)).toEqual(newest);
    expect(answer.tasks.pageInfo).toEqual({ hasNextPage: true, hasPreviousPage: false });
    expect(answer.tasks.totalCount).toBe(COUNT);
    expect(answer.videos.nodes).toHaveLength(10);
    expect(answer.videos.totalCount).toBe(300);
    expect(answer.imports).toEqual({ nodes: [{ id: `imp_${importId}` }], totalCount: 1 });
    expect(answer.indexes).toEqual({ nodes: [{ id: `idx_${team.indexId}` }], totalCount: 1 });
    expect(answer.import?.tasks.nodes).toHaveLength(10);
    expect(answer.import?.tasks.totalCount).toBe(COUNT);
    expect(answer.import?.failedFiles).toEqual({ nodes: [], totalCount: 0 });
  });

  test('has 100 rows at most, and none for 0', async () => {
    expect((await server.query(TASKS, { first: 100 })).tasks.nodes).toHaveLength(100);
    expect((await server.query(TASKS, { last: 100 })).tasks.nodes).toHaveLength(100);
    const { nodes, pageInfo } = (await server.query(TASKS, { first: 0 })).tasks;
    expect(nodes).toEqual([]);
    expect(pageInfo).toMatchObject({ hasNextPage: true, startCursor: null, endCursor: null });
  });

  test.each<PageVariables>([
    { first: 101 },
    { last: 101 },
    { first: -1 },
    { last: -1 },
    { first: 2_147_483_647 },
    { first: 5, last: 5 },
    { first: 0, last: 0 },
  ])('is refused for %j, in every list', async (page) => {
    for (const answer of await Promise.all([
      server.send(TASKS, page),
      server.send(VIDEOS, page),
      server.send(TASKS_OF_IMPORT, { id: `imp_${importId}`, ...page }),
    ])) {
      expect(answer.errors?.map(({ extensions }) => extensions?.code)).toEqual(['BAD_USER_INPUT']);
    }
  });

  test('lies between two cursors when both are given', async () => {
    const { edges } = (await server.query(DEFAULTS, { id: `imp_${importId}` })).tasks;
    const [after, before] = [edges[2]?.cursor ?? '', edges[6]?.cursor ?? ''];
    const { nodes } = (await server.query(TASKS, { first: 100, after, before })).tasks;
    expect(nodes).toEqual(edges.slice(3, 6).map(({ node }) => node));
  });
});
