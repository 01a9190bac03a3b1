import { getIntrospectionQuery } from 'graphql';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import {
  ask,
  codesOf,
  type GraphQLAnswer,
  KEY,
  READ_KEY,
  type SmallServer,
  startSmallServer,
} from './support.ts';

let server: SmallServer;
let production: SmallServer;
beforeAll(async () => {
  server = await startSmallServer();
  production = await startSmallServer({ production: true });
});
afterAll(async () => {
  await server.http.stop();
  await production.http.stop();
});

/** An operation over WebSocket, errors of a document as an answer too. */
async function askOverWebSocket(
  { url }: SmallServer,
  query: string,
  { key = KEY } = {},
): Promise<GraphQLAnswer> {
  const client = createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${key}` },
    retryAttempts: 0,
  });
  try {
    return await new Promise<GraphQLAnswer>((resolve, reject) => {
      let answer: GraphQLAnswer = {};
      client.subscribe(
        { query },
        {
          next: (value) => {
            answer = value as GraphQLAnswer;
          },
          error: (errors) => (Array.isArray(errors) ? resolve({ errors }) : reject(errors)),
          complete: () => resolve(answer),
        },
      );
    });
  } finally {
    await client.dispose();
  }
}

const nested = (depth: number) => `{ node ${'{ child '.repeat(depth - 2)} { id } ${'}'.repeat(depth - 2)} }`;
const aliases = (count: number) =>
  `mutation { ${Array.from({ length: count }, (_, at) => `a${at}: count`).join(' ')} }`;
const directives = (count: number) => `{ hello ${'@include(if: true) '.repeat(count)} }`;
const tokens = (count: number) => {
  const items = Math.floor((count - 10) / 5);
  return `{ ${'hello '.repeat(count - 9 - 5 * items)} size(items: [${'{ id: 1 }'.repeat(items)}]) }`;
};

describe.each([
  ['HTTP', ask],
  ['WebSocket', askOverWebSocket],
])('over %s', (_transport, send) => {
  test.each([
    ['14 levels', nested(14)],
    ['15 aliases', aliases(15)],
    ['2,000 tokens', tokens(2_000)],
  ])('%s are executed', async (_, query) => {
    const answer = await send(server, query);
    expect(answer.errors).toBeUndefined();
    expect(answer.data).not.toBeNull();
  });

  test.each([
    ['15 levels', nested(15)],
    ['2,000 levels', nested(2_000)],
    ['16 aliases', aliases(16)],
    [
      '101 aliases of __typename',
      `{ ${Array.from({ length: 101 }, (_, at) => `a${at}: __typename`).join(' ')} }`,
    ],
    ['9 directives', directives(9)],
    ['2,001 tokens', tokens(2_001)],
    ['20,000 tokens', tokens(20_000)],
  ])('%s are too complex: nothing is executed, and no limit is told', async (_, query) => {
    const before = server.counted();
    const began = performance.now();
    const { data, errors } = await send(server, query);
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(data ?? null).toBeNull();
    expect(errors?.[0]).toMatchObject({
      message: 'The operation is too complex.',
      extensions: { code: 'QUERY_TOO_COMPLEX' },
    });
    expect(server.counted()).toBe(before);
  });

  test('fragments that contain themselves are refused', async () => {
    const answer = await send(server, '{ node { ...a } } fragment a on Node { child { ...a } }');
    expect(answer.data ?? null).toBeNull();
    expect(codesOf(answer).length).toBeGreaterThan(0);
  });

  test('the whole introspection is within the limits', async () => {
    const answer = await send(server, getIntrospectionQuery({ inputValueDeprecation: true, oneOf: true }));
    expect(answer.errors).toBeUndefined();
    expect(answer.data).toHaveProperty('__schema.types');
  });

  test('in production the schema is told to an ADMIN key only, whoever asked first', async () => {
    const query = '{ __schema { queryType { name } } __type(name: "Node") { name } }';
    for (const [key, isTold] of [
      [READ_KEY, false],
      [KEY, true],
      [READ_KEY, false],
    ] as const) {
      const answer = await send(production, query, { key });
      expect(codesOf(answer)[0]).toBe(isTold ? undefined : 'BAD_USER_INPUT');
      expect(JSON.stringify(answer.data ?? null).includes('"Node"')).toBe(isTold);
    }
    expect(await send(production, '{ hello __typename }', { key: READ_KEY })).toEqual({
      data: { hello: 'world', __typename: 'Query' },
    });
  });

  test('in production no name of the schema is proposed', async () => {
    const query = 'query ($to: Int!) { helo }';
    const { errors } = await send(production, query);
    expect(errors?.map(({ message }) => message)).toContain('Cannot query field "helo" on type "Query".');
    expect(JSON.stringify(errors)).not.toContain('hello');
  });
});

test('in production there is no page, and GET says only how to ask', async () => {
  const response = await fetch(`${production.url}/graphql`, { headers: { accept: 'text/html' } });
  expect(response.status).toBe(405);
  expect(response.headers.get('content-type')).toContain('application/json');
});
