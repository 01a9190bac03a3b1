import { inspect } from 'node:util';
import { getIntrospectionQuery, getNamedType, isObjectType } from 'graphql';
import { createClient } from 'graphql-ws';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { SAMPLE_OPERATIONS } from '../../src/http/graphiql-samples.ts';
import { schema } from '../../src/schema/index.ts';
import type { Answer } from '../support/client.ts';
import { post } from '../support/raw.ts';
import { firstTeam, insertFinishedImport, openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

/** In the input of every operation below that has no id, so that its statements are known from others. */
const SYSTEM_NAME = 'a-system-of-this-test';

interface Operation {
  readonly query: string;
  readonly variables?: Readonly<Record<string, unknown>>;
  readonly operationName?: string;
}

const query = pg.Client.prototype.query;
let statements: string[] = [];

let server: TestServer;
let rows: Rows;
let importId: string;

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  importId = await insertFinishedImport(rows, await firstTeam(rows, server.key), { tasks: 120 });
  await rows.all('update imports set system_name = $1', [SYSTEM_NAME]);
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    statements.push(inspect(args, { depth: 3 }));
    return Reflect.apply(query, this, args);
  } as typeof query;
});

beforeEach(() => {
  statements = [];
});

afterAll(async () => {
  pg.Client.prototype.query = query;
  await rows?.close();
  await server?.stop();
});

/** The statements that operations of this test have made. */
const ownStatements = () =>
  statements.filter((text) => text.includes(SYSTEM_NAME) || text.includes(importId));

const withId = (operation: Operation): Operation => ({
  ...operation,
  variables: { id: `imp_${importId}`, system: SYSTEM_NAME, ...operation.variables },
});

const isSubscription = ({ query, operationName }: Operation) =>
  query.startsWith('subscription') || ['importProgress', 'stages'].includes(operationName ?? '');

async function overHttp(operation: Operation): Promise<readonly Answer<unknown>[]> {
  const { text } = await post({
    url: server.url,
    key: server.key,
    body: JSON.stringify(withId(operation)),
    headers: { accept: isSubscription(operation) ? 'text/event-stream' : 'application/json' },
  });
  const events = text.match(/(?<=^data: ).+$/gm) ?? [];
  return (text.startsWith('{') ? [text] : events).map((event) => JSON.parse(event));
}

async function overWebSocket(operation: Operation): Promise<readonly Answer<unknown>[]> {
  const client = createClient({
    url: `${server.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${server.key}` },
    retryAttempts: 0,
  });
  try {
    const answers: Answer<unknown>[] = [];
    for await (const answer of client.iterate(withId(operation))) answers.push(answer as Answer<unknown>);
    return answers;
  } finally {
    await client.dispose();
  }
}

/** Lists in lists: imports, the tasks of each, the tasks of each one's import. */
const nested = (page: string, leaf = 'nodes { id }') =>
  `imports(${page}, filter: { systemName: $system }) { nodes { tasks(${page}) { nodes { import { tasks(${page}) { ${leaf} } } } } } }`;
/** Of one import: its tasks, and all the tasks of each one's import, 6 values each. */
const TASKS_OF_TASKS =
  'tasks(first: 100) { nodes { import { tasks(first: 100) { nodes { id name status reason attempts } } } } }';
const INPUT = `from: { videos: { systemName: $system, videos: [{ externalId: "1", url: "http://127.0.0.1:1/a.mp4", fileName: "a.mp4" }] } }`;

const REFUSED: readonly (readonly [string, Operation])[] = [
  ['60 x 60 x 60', { query: `query ($system: String) { ${nested('first: 60')} }` }],
  ['60 x 60 x 60 by last', { query: `query ($system: String) { ${nested('last: 60')} }` }],
  [
    '60 x 60 x 60 by edges',
    { query: `query ($system: String) { ${nested('first: 60', 'edges { node { id } }')} }` },
  ],
  [
    '60 x 60 x 60 by a variable',
    {
      query: `query ($system: String, $n: Int) { ${nested('first: $n')} }`,
      variables: { n: 60 },
    },
  ],
  [
    '60 x 60 x 60 by the default of a variable',
    { query: `query ($system: String, $n: Int = 60) { ${nested('first: $n')} }` },
  ],
  [
    '60 x 60 x 60 beside little',
    { query: `query ($system: String) { viewer { keyName } ${nested('first: 60')} }` },
  ],
  [
    '100 x 100 in fragments',
    {
      query: `query ($id: ID!) { importStatus(id: $id) { ...a } }
        fragment a on Import { tasks(first: 100) { nodes { ...b } } }
        fragment b on Task { import { tasks(first: 100) { nodes { id name status reason attempts } } } }`,
    },
  ],
  [
    '100 x 100 of a node',
    { query: `query ($id: ID!) { node(id: $id) { ... on Import { ${TASKS_OF_TASKS} } } }` },
  ],
  [
    '100 x 100 of what a mutation returns',
    {
      query: `mutation ($system: String!) {
        startImport(input: { ${INPUT} }) { ... on StartImportSuccess { import { ${TASKS_OF_TASKS} } } } }`,
    },
  ],
  [
    '100 tasks of the import of each that changed',
    {
      query: `subscription ($id: ID!) {
        importProgress(id: $id) { changed { import { tasks(first: 100) { nodes { id name status reason attempts } } } } } }`,
    },
  ],
  [
    '100 x 50 metadata',
    {
      query: `query ($system: String) {
        imports(first: 100, filter: { systemName: $system }) { nodes { tasks(first: 50) { nodes { metadata } } } } }`,
    },
  ],
];

const WIDE_TASK = `
  id name fileName externalId systemName status outcome skipReason reason waitingFor attempts metadata createdAt updatedAt
  progress { fraction bytesDone bytesTotal bytesPerSecond etaSeconds updatedAt }
  stages { name state fraction }
  error { code message retryable measured required }
  team { id name }
  import { id state runs systemName createdAt finishedAt counts { found ready failed } index { name } }
  index { id name isDefault videoCount team { name } requirements { minWidth maxWidth maxSize } }
  video { id name sha256 originalUrl metadata systemMetadata { duration width height size videoCodec } index { name } }`;

const TAKEN: readonly (readonly [string, Operation])[] = [
  [
    'a page of 100 tasks with what belongs to each',
    {
      query: `query ($system: String) {
        tasks(first: 100, filter: { systemName: "dam" }) { totalCount nodes { ${WIDE_TASK} } pageInfo { endCursor } }
        imports(filter: { systemName: $system }) { totalCount } }`,
    },
  ],
  [
    'an import with 100 tasks and 100 failed files',
    {
      query: `query ($id: ID!) { importStatus(id: $id) {
        id state finished hasFailures counts { found ready failed } progress { fraction }
        tasks(first: 100) { totalCount nodes { ${WIDE_TASK} } }
        failedFiles(first: 100) { totalCount nodes { id fileName name externalId createdAt error { code message retryable measured required } } }
      } }`,
    },
  ],
  [
    '50 imports with 20 tasks each',
    {
      query: `query ($system: String) { imports(first: 50, filter: { systemName: $system }) { totalCount nodes {
        id state finished systemName createdAt counts { found ready failed rejected } progress { fraction }
        tasks(first: 20) { totalCount nodes { id name fileName status outcome reason progress { fraction } error { code message } video { id name } } }
      } } }`,
    },
  ],
  [
    '100 x 100 ids',
    {
      query: `query ($system: String) {
        imports(first: 100, filter: { systemName: $system }) { nodes { tasks(first: 100) { nodes { id } } } } }`,
    },
  ],
  [
    'all that is known of each task that changed',
    { query: `subscription ($id: ID!) { importProgress(id: $id) { cursor changed { ${WIDE_TASK} } } }` },
  ],
  [
    'what is too much only in an operation that is not asked for',
    {
      query: `query ($system: String) { imports(filter: { systemName: $system }) { totalCount } }
        query other ($system: String) { ${nested('first: 60')} }`.replace('query (', 'query one ('),
      operationName: 'one',
    },
  ],
];

describe.each([
  ['HTTP', overHttp],
  ['WebSocket', overWebSocket],
])('over %s', (_transport, send) => {
  test.each(REFUSED)('%s costs too much: no statement is made for it', async (_name, operation) => {
    const [answer, ...others] = await send(operation);
    expect(others).toEqual([]);
    expect(Object.values(answer?.data ?? {}).filter((value) => value !== null)).toEqual([]);
    expect(answer?.errors?.length).toBeGreaterThan(0);
    for (const error of answer?.errors ?? [])
      expect(error).toMatchObject({
        message: 'The operation is too complex.',
        extensions: { code: 'QUERY_TOO_COMPLEX' },
      });
    expect(ownStatements()).toEqual([]);
  });

  test.each(TAKEN)('%s is answered', async (_name, operation) => {
    const answers = await send(operation);
    expect(answers.length).toBeGreaterThan(0);
    for (const { errors, data } of answers) {
      expect(errors).toBeUndefined();
      expect(data).toBeTruthy();
    }
    expect(ownStatements().length).toBeGreaterThan(0);
  });

  test('the operations that GraphiQL begins with are answered', async () => {
    const names = [...SAMPLE_OPERATIONS.matchAll(/^(?:query|mutation|subscription) (\w+)/gm)].map(
      ([, name]) => name,
    );
    expect(names).toHaveLength(7);
    // An input that is refused starts nothing.
    const input = { from: { videos: { systemName: SYSTEM_NAME, videos: [] } } };
    const variables = { input, fullInput: { ...input, fullIngestion: true }, videoId: `vid_${importId}` };
    for (const operationName of names) {
      const answers = await send({
        query: SAMPLE_OPERATIONS,
        operationName: operationName ?? '',
        variables,
      });
      expect(answers.length).toBeGreaterThan(0);
      for (const { errors } of answers) expect(errors).toBeUndefined();
    }
  });

  test('the whole introspection is answered', async () => {
    const [answer] = await send({
      query: getIntrospectionQuery({ inputValueDeprecation: true, oneOf: true }),
    });
    expect(answer?.errors).toBeUndefined();
    expect(answer?.data).toHaveProperty('__schema.types');
  });
});

test('every list that has pages costs what is below it as often as a page is long, 10 times by default', () => {
  const lists = Object.values(schema.getTypeMap())
    .filter(isObjectType)
    .flatMap((type) => Object.values(type.getFields()))
    .filter((field) => getNamedType(field.type).name.endsWith('Connection'));
  expect(lists.length).toBeGreaterThan(5);
  for (const field of lists) {
    const multiplier = (args: object) =>
      (field.extensions.complexity as (...args: unknown[]) => object)(args, {}, field); // as the builder sets it
    expect(multiplier({})).toEqual({ field: 1, multiplier: 10 });
    expect(multiplier({ first: null, last: null })).toEqual({ field: 1, multiplier: 10 });
    expect(multiplier({ first: 7 })).toEqual({ field: 1, multiplier: 7 });
    expect(multiplier({ last: 70 })).toEqual({ field: 1, multiplier: 70 });
    expect(multiplier({ first: 0 })).toEqual({ field: 1, multiplier: 0 });
  }
});

test('a document that was answered for short pages is refused for long ones, however often it comes, and answered again', async () => {
  const query = `query ($system: String, $n: Int) { ${nested('first: $n')} }`;
  const codesFor = async (n: number) => {
    const [answer] = await overHttp({ query, variables: { n } });
    return answer?.errors?.map(({ extensions }) => extensions?.code) ?? [];
  };
  for (const [n, codes] of [
    [2, []],
    [2, []],
    [60, ['QUERY_TOO_COMPLEX']],
    [60, ['QUERY_TOO_COMPLEX']],
    [2, []],
  ] as const)
    expect(await codesFor(n)).toEqual(codes);
});
