import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { post } from '../support/raw.ts';
import { firstTeam, insertFinishedImport, openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let rows: Rows;
let importId: string;

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  importId = `imp_${await insertFinishedImport(rows, await firstTeam(rows, server.key), { tasks: 7 })}`;
});
afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

const ask = async (query: string, variables: object): Promise<string> => {
  const body = JSON.stringify({ query, variables });
  const { status, text } = await post({ url: server.url, key: server.key, body });
  return `${status} ${text.replaceAll(ERROR_ID, '<id>')}`;
};
/** Of what the log has; rows have ids of version 7. */
const ERROR_ID = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/**
 * Asks until the document is compiled, and some more: with an alias it never is. Asking both, errors have other places,
 * so that the alias is as long as the blanks that the other one has there.
 */
async function askBothWays(query: string, variables: object): Promise<void> {
  const ordinary = query.replace('__typename', 'a: __typename');
  const compiled = query.replace('__typename', '   __typename');
  const expected = (await ask(ordinary, variables)).replace('"a":"Query"', '"__typename":"Query"');
  for (let time = 0; time < 5; time++) expect(await ask(compiled, variables)).toBe(expected);
}

const TASK = `id videoId fileName externalId systemName sourceKey name status outcome skipReason reason error { code message retryable }
  waitingFor nextAttemptAt progress { fraction bytesDone bytesTotal bytesPerSecond etaSeconds updatedAt }
  stages { name state fraction startedAt finishedAt } attempts metadata systemMetadata { duration width height }
  createdAt updatedAt startedAt finishedAt team { id name } index { id name } import { id state } video { id name }`;

describe('a query that was compiled answers as it did before', () => {
  test.each<[string, string]>([
    [
      'all of a task',
      `tasks { totalCount edges { cursor node { ${TASK} } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }`,
    ],
    [
      'fragments',
      'tasks(first: 2) { ...C } } fragment C on TaskConnection { nodes { ...T import { ...I } } } fragment T on Task { id status } fragment I on Import { id tasks(first: 1) { nodes { ...T } } ',
    ],
    [
      'a list in a list',
      'imports { nodes { id tasks(first: 3) { totalCount nodes { id import { tasks(first: 1) { nodes { fileName } } } } } failedFiles { totalCount } } }',
    ],
    [
      'what is selected twice',
      'tasks { nodes { id id progress { fraction } progress { bytesDone fraction } } }',
    ],
    [
      'several lists',
      'tasks(first: 2) { nodes { id } } videos { totalCount nodes { id } } indexes { nodes { id name } } viewer { keyName }',
    ],
    ['a page that is too long', 'tasks(first: 101) { nodes { id } } viewer { keyName }'],
    ['a cursor of nothing', 'viewer { keyName } tasks(after: "x") { nodes { id } }'],
    ['an error where null may be', 'task(id: "task_x") { id } import(id: "imp_x") { id }'],
    ['a filter that cannot be', 'tasks(filter: { fileName: { equals: "\\u0000" } }) { nodes { id } }'],
  ])('%s', async (_, selection) => {
    await askBothWays(`{ __typename ${selection} }`, {});
  });

  const LIST =
    'query ($filter: TaskFilter, $first: Int = 2, $order: TaskOrder) { __typename tasks(filter: $filter, first: $first, orderBy: $order) { nodes { id fileName } } }';
  test.each<[string, object]>([
    ['none', {}],
    ['null for each', { filter: null, first: null, order: null }],
    ['one value for a list', { filter: { status: 'READY' } }],
    ['a list with null', { filter: { status: [null] } }],
    ['an unknown value', { filter: { status: ['NONE'] } }],
    ['an unknown field', { filter: { statuses: ['READY'] } }],
    ['half an order', { order: { field: 'CREATED_AT' } }],
    ['an order', { order: { field: 'UPDATED_AT', direction: 'ASC' } }],
    ['a number that is a text', { first: '2' }],
    ['a fraction', { first: 1.5 }],
    ['a whole number as a fraction', { first: 1.0 }],
    ['a number beyond 32 bits', { first: 2 ** 31 }],
    ['true for a number', { first: true }],
    ['an instant', { filter: { createdAt: { gte: '2020-01-01T00:00:00Z', lt: null } } }],
    ['no instant', { filter: { createdAt: { gte: '2020-02-30T00:00:00Z' } } }],
    ['a number for an id', { filter: { indexId: 5 } }],
    ['an object for an id', { filter: { indexId: {} } }],
    ['a number for a text', { filter: { fileName: { contains: 5 } } }],
    ['a list of texts', { filter: { fileName: { in: ['a', 'b'] } } }],
    ['a range', { filter: { duration: { gte: 1, lte: 2.5 }, width: { equals: 5 } } }],
    ['a fraction for a whole number', { filter: { width: { equals: 5.5 } } }],
    ['__proto__', JSON.parse('{"filter":{"__proto__":{"status":["READY"]}}}')],
    ['an unknown variable', { other: 1 }],
  ])('variables: %s', async (_, variables) => {
    await askBothWays(LIST, variables);
  });

  test('a variable that must be there', async () => {
    const query = 'query ($id: ID!) { __typename import(id: $id) { id state tasks { nodes { id } } } }';
    for (const variables of [{ id: importId }, { id: 5 }, { id: null }, {}, { id: [importId] }])
      await askBothWays(query, variables);
  });

  test('a database that breaks, with its place and an id', async () => {
    const query = '{ __typename viewer { keyName } tasks { nodes { id } } }';
    await askBothWays(query, {});
    await rows.all('alter table tasks rename to tasks_away');
    try {
      await askBothWays(query, {});
      expect(await ask(query.replace('__typename', '   __typename'), {})).toMatch(
        /^200 .*INTERNAL_SERVER_ERROR/,
      );
    } finally {
      await rows.all('alter table tasks_away rename to tasks');
    }
  });
});
