import pg from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { startPoolingProxy } from '../support/pooling-proxy.ts';
import { post } from '../support/raw.ts';
import {
  firstTeam,
  insertFinishedImport,
  insertTeam,
  openRows,
  type Rows,
  type TeamRows,
} from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

/** More often than a statement is asked before connections keep it. */
const TIMES = 24;

type Team = TeamRows & { readonly importId: string };

let server: TestServer;
let rows: Rows;
let own: Team;
let other: Team;

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  own = await fill(await firstTeam(rows, server.key), 14);
  other = await fill(await insertTeam(rows, 'Other'), 9);
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

async function fill(team: TeamRows, tasks: number): Promise<Team> {
  return { ...team, importId: await insertFinishedImport(rows, team, { tasks }) };
}

const ask = async (
  { key }: Pick<TeamRows, 'key'>,
  query: string,
  variables: object = {},
  url: string = server.url,
): Promise<string> => {
  const { status, text } = await post({ url, key, body: JSON.stringify({ query, variables }) });
  return `${status} ${text}`;
};

let lastDocument = 0;
/** Another document that asks for the same, of which nothing is kept. */
const anew = (query: string) => `${query} # ${++lastDocument}`;

const TASKS = `query ($filter: TaskFilter, $orderBy: TaskOrder, $first: Int, $after: String, $last: Int, $before: String) {
  tasks(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { id fileName status metadata createdAt } } pageInfo { hasNextPage hasPreviousPage endCursor } totalCount
  }
}`;
const RELATED = `query ($filter: TaskFilter) {
  tasks(filter: $filter, first: 3) {
    nodes { ...F progress { fraction } stages { name } team { name } import { id index { name videoCount } } index { name } video { id sha256 } }
  }
}
fragment F on Task { id systemMetadata { width } }`;
const OTHERS = `query ($team: ID) {
  imports(filter: { hasFailures: false, teamId: $team }) { nodes { id state integration { id } } }
  videos(filter: { duration: { gte: 0.5 } }) { nodes { id name index { name } } totalCount }
  indexes { nodes { id name } }
  integrations { nodes { id runningImport { id } } }
}`;
const NESTED = `query ($first: Int, $filter: TaskFilter) {
  imports { nodes { id tasks(first: $first, filter: $filter) { totalCount nodes { id status } } } }
}`;
const SKIPPED = 'query ($isShort: Boolean!) { tasks(first: 2) { nodes { id status @skip(if: $isShort) } } }';

/** Documents, and the variables of each team. */
const CASES: readonly (readonly [string, string, (team: Team) => object])[] = [
  ['a team', TASKS, () => ({})],
  ['oldest first', TASKS, () => ({ first: 4, orderBy: { field: 'CREATED_AT', direction: 'ASC' } })],
  ['by the last change', TASKS, () => ({ last: 4, orderBy: { field: 'UPDATED_AT', direction: 'DESC' } })],
  ['a status', TASKS, () => ({ first: 3, filter: { status: ['READY'] } })],
  ['two statuses', TASKS, () => ({ filter: { status: ['READY', 'FAILED'] } })],
  ['no status', TASKS, () => ({ filter: { status: [] } })],
  ['an index', TASKS, ({ indexId }) => ({ filter: { indexId: `idx_${indexId}` } })],
  [
    'index and status',
    TASKS,
    ({ indexId }) => ({ filter: { indexId: `idx_${indexId}`, status: ['READY'] } }),
  ],
  ['an import', TASKS, ({ importId }) => ({ filter: { importId: `imp_${importId}` } })],
  [
    'names',
    TASKS,
    () => ({ filter: { fileName: { startsWith: 'c', contains: '1', in: ['clip-1.mp4', 'x'] } } }),
  ],
  [
    'a time',
    TASKS,
    () => ({ filter: { createdAt: { gte: '2020-01-01T00:00:00Z', lt: '2100-01-01T00:00:00Z' } } }),
  ],
  ['a width', TASKS, () => ({ filter: { width: { gte: 1, lte: 4000 } } })],
  ['what belongs to rows', RELATED, () => ({})],
  ['what belongs to rows of a status', RELATED, () => ({ filter: { status: ['READY'] } })],
  ['other lists', OTHERS, ({ teamId }) => ({ team: `team_${teamId}` })],
  ['lists in lists', NESTED, () => ({ first: 2, filter: { status: ['READY'] } })],
  ['directives', SKIPPED, () => ({ isShort: true })],
];

test.for(CASES)(
  '%s: asked again and again, each team is told what a new document tells it',
  async ([, query, of]) => {
    const teams = [own, other];
    const expected = await Promise.all(teams.map((team) => ask(team, anew(query), of(team))));
    expect(expected.every((text) => text.startsWith('200 {"data"') && !text.includes('errors'))).toBe(true);
    for (let time = 0; time < TIMES; time += 1) {
      const told = await Promise.all(teams.map((team) => ask(team, query, of(team))));
      expect(told).toEqual(expected);
    }
  },
);

test('the pages of a list are each its own, whichever was asked for before', async () => {
  const seen: string[] = [];
  let after: string | null = null;
  do {
    const text = await ask(own, TASKS, { first: 2, after });
    const { tasks } = JSON.parse(text.slice(4)).data;
    seen.push(...tasks.edges.map(({ node }: { readonly node: { readonly id: string } }) => node.id));
    after = tasks.pageInfo.hasNextPage ? tasks.pageInfo.endCursor : null;
  } while (after !== null);
  expect(new Set(seen).size).toBe(14);
  expect(seen).toHaveLength(14);
});

test('a document is one statement for a value of a variable and another for another', async () => {
  const of = async (isShort: boolean) => await ask(own, SKIPPED, { isShort });
  for (let time = 0; time < 4; time += 1) {
    expect(await of(true)).not.toContain('status');
    expect(await of(false)).toContain('status');
  }
});

describe('what connections keep', () => {
  const original = pg.Client.prototype.query;
  let names: (string | undefined)[] = [];

  beforeAll(() => {
    pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
      const [first] = args as [{ readonly text?: string; readonly name?: string }]; // as the pool calls it
      if (first.text?.includes('from "tasks"')) names.push(first.name || undefined);
      return Reflect.apply(original, this, args);
    } as typeof original;
  });
  afterAll(() => {
    pg.Client.prototype.query = original;
  });

  async function namesOf(filter: object): Promise<(string | undefined)[]> {
    names = [];
    const query = anew('query ($filter: TaskFilter) { tasks(filter: $filter) { nodes { id } } }');
    for (let time = 0; time < TIMES; time += 1) await ask(own, query, { filter });
    return names;
  }

  test('is what is asked often and has one index', async () => {
    const named = await namesOf({ status: ['READY'] });
    expect(named.slice(0, 10)).toEqual(Array(10).fill(undefined));
    expect(named.at(-1)).toMatch(/^sluice_[0-9a-f]{40}$/);
  });

  test('is none that is planned for its values', async () => {
    expect(await namesOf({ fileName: { startsWith: 'clip' } })).toEqual(Array(TIMES).fill(undefined));
  });
});

test('behind a proxy that pools by transaction everything is answered as ever, from the first request on', async () => {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  const proxy = await startPoolingProxy(database.url);
  onTestFinished(() => proxy.close());
  const behind = await startTestServer({ DATABASE_URL: proxy.url, LISTEN_DATABASE_URL: database.url });
  onTestFinished(() => behind.stop());
  const direct = await openRows(database.url);
  onTestFinished(() => direct.close());
  const team = await firstTeam(direct, behind.key);
  await insertFinishedImport(direct, team, { tasks: 5 });
  const expected = await ask(team, anew(TASKS), {}, behind.url);
  expect(expected).toContain('"totalCount":5');
  const all = await Promise.all(Array.from({ length: 4 * TIMES }, () => ask(team, TASKS, {}, behind.url)));
  expect(new Set(all)).toEqual(new Set([expected]));
  expect(proxy.switches()).toBeGreaterThan(0);
});
