import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../support/wait.ts';
import { KEY, READ_KEY, type SmallServer, startSmallServer } from './support.ts';

/** The same server with and without its shorter ways: whatever is asked, all must answer the same, to the byte. */
type Ways = Readonly<Record<'quick' | 'short' | 'yoga', SmallServer>>;
let servers: Ways[];

beforeAll(async () => {
  servers = await Promise.all(
    [false, true].map(async (production) => ({
      quick: await startSmallServer({ production }),
      short: await startSmallServer({ production, shortest: 'no Request and Response' }),
      yoga: await startSmallServer({ production, shortest: 'Yoga' }),
    })),
  );
});
afterAll(async () => {
  for (const ways of servers) await Promise.all(Object.values(ways).map(({ http }) => http.stop()));
});

interface Asked {
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

async function send({ url }: SmallServer, { body, headers = {} }: Asked) {
  const request = httpRequest(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}`, ...headers },
  });
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const text = await readText(response);
  const { date, ...others } = response.headersDistinct;
  expect(date).toHaveLength(1);
  return { status: response.statusCode, headers: others, text: text.replaceAll(ERROR_ID, '<id>') };
}

const ERROR_ID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16}/g;

const query = (text: string, others: object = {}): string => JSON.stringify({ query: text, ...others });
const SIZE = 'query ($items: [Item!]!) { size(items: $items) }';
const TWO = 'query a { hello } query b { viewer }';

const BODIES: Readonly<Record<string, string>> = {
  'a query': query('{ hello }'),
  'a query with variables': query(SIZE, {
    variables: {
      items: [
        { id: 1, tags: 'a' },
        { id: 'x', name: null },
      ],
    },
  }),
  'variables that are null': query('{ hello }', { variables: null }),
  'variables that nobody asked for': query('{ hello }', { variables: { other: [1] } }),
  'variables that are a list': query('{ hello }', { variables: [] }),
  'variables that are a text': query('{ hello }', { variables: 'a' }),
  'variables that are a number': query('{ hello }', { variables: 1 }),
  'a variable that is missing': query(SIZE),
  'a variable of the wrong type': query(SIZE, { variables: { items: [{ id: {} }] } }),
  'a variable with a secret': query(SIZE, { variables: { items: 'https://a/?token=secret' } }),
  'a variable with a field that is none': query(SIZE, { variables: { items: [{ id: 1, no: 2 }] } }),
  'a variable named __proto__': `{"query":"{ hello }","variables":{"__proto__":{"a":1}}}`,
  'an operation by name': query(TWO, { operationName: 'b' }),
  'an operation by a name that is none': query(TWO, { operationName: 'c' }),
  'no name for two operations': query(TWO),
  'an empty name': query('{ hello }', { operationName: '' }),
  'a name that is null': query('{ hello }', { operationName: null }),
  'a name that is a number': query('{ hello }', { operationName: 5 }),
  extensions: query('{ hello }', { extensions: { persistedQuery: { version: 1 } } }),
  'extensions that are null': query('{ hello }', { extensions: null }),
  'extensions that are a text': query('{ hello }', { extensions: 'a' }),
  'extensions that are a list': query('{ hello }', { extensions: [] }),
  'another parameter': query('{ hello }', { id: 'x' }),
  'another parameter that is null': query('{ hello }', { id: null }),
  'a parameter named __proto__': `{"query":"{ hello }","__proto__":{"a":1}}`,
  'a mutation': query('mutation { count }'),
  'two mutations': query('mutation { count also: count }'),
  'a subscription': query('subscription { ticks(to: 2) }'),
  'a subscription that fails': query('subscription { failing }'),
  'aliases and a fragment': query(
    '{ a: hello ...F } fragment F on Query { node { child { id } ...G } } fragment G on Node { name }',
  ),
  directives: query('query ($no: Boolean!) { hello viewer @include(if: $no) }', { variables: { no: false } }),
  'a directive without its variable': query('query ($no: Boolean!) { hello @skip(if: $no) }'),
  'an unexpected error': query('{ hello secretFailure }'),
  'an expected error': query('{ refused hello }'),
  'null where there is none': query('{ brokenPromise }'),
  'an operation that takes too long': query('{ slow(milliseconds: 2000) }'),
  'an argument that is null': query('query ($n: Int = 1) { slow(milliseconds: $n) }', {
    variables: { n: null },
  }),
  'a syntax error': query('{ hello'),
  'a field that is none': query('{ helo }'),
  'an argument that is none': query('{ slow(seconds: 1) }'),
  'a fragment in a circle': query('{ node { ...a } } fragment a on Node { child { ...a } }'),
  'no operation': query('fragment a on Node { id }'),
  'an empty document': query(''),
  'the schema': query('{ __schema { queryType { name } } __type(name: "Node") { name } }'),
  'the name of a type': query('{ __typename }'),
  'too deep': query(`{ node ${'{ child '.repeat(14)} { id } ${'}'.repeat(14)} }`),
  'too many aliases': query(`{ ${Array.from({ length: 16 }, (_, n) => `a${n}: hello`).join(' ')} }`),
  'too many directives': query(`{ hello ${'@include(if: true) '.repeat(9)} }`),
  'too many tokens': query(`{ ${'hello '.repeat(2_100)} }`),
  'lists without end': query(`{ size(items: ${'['.repeat(900)}${']'.repeat(900)}) }`),
  'a query that is a number': '{"query":5}',
  'a query that is null': '{"query":null}',
  'no query': '{}',
  'a batch': `[${query('{ hello }')},${query('{ hello }')}]`,
  'an empty batch': '[]',
  null: 'null',
  'a number': '5',
  'a text': '"{ hello }"',
  'no JSON': '{"query":',
  'JSON and more': '{"query":"{ hello }"} {}',
  nothing: '',
  'a byte order mark': `\ufeff${query('{ hello }')}`,
  'texts of all kinds': query('{ hello # é 𝄞 \u2028\n }'),
  'a long text': query(SIZE, { variables: { items: [{ id: 'x'.repeat(200_000) }] } }),
};

const ACCEPTS = [
  'application/json',
  'application/graphql-response+json',
  'application/graphql-response+json; charset=utf-8, application/json; charset=utf-8',
  'application/graphql-response+json,application/json;q=0.9',
  'application/json, application/graphql-response+json',
  '*/*',
  'application/*',
  'text/event-stream',
  'text/event-stream, application/json',
  'multipart/mixed',
  'application/json; charset=latin1',
  'text/html',
  'image/png, */*;q=0.1',
  'APPLICATION/JSON',
  'application/json;q=0',
  '',
  ',',
  `application/json,${'a/b,'.repeat(200)}`,
];

const expectSame = async (asked: Asked) => {
  for (const { quick, short, yoga } of servers) {
    // Now its key is known.
    await send(quick, { ...asked, body: query('{ hello }') });
    const [quickly, shortly, expected] = await Promise.all(
      [quick, short, yoga].map((way) => send(way, asked)),
    );
    expect(quickly).toEqual(expected);
    expect(shortly).toEqual(expected);
    expect([quick.counted(), short.counted()]).toEqual([yoga.counted(), yoga.counted()]);
  }
};

describe('all ways answer the same', () => {
  test.each(Object.entries(BODIES))('%s', async (_, body) => {
    await expectSame({ body });
    await expectSame({ body, headers: { accept: 'application/graphql-response+json' } });
  });

  test.each(ACCEPTS)('Accept: %s', async (accept) => {
    for (const body of [
      query('{ hello }'),
      query('{ refused }'),
      query('{ helo }'),
      query('mutation { count }'),
      query('subscription { ticks(to: 2) }'),
    ])
      await expectSame({ body, headers: { accept } });
  });

  test.each<[string, Readonly<Record<string, string>>]>([
    ['a key that may read only', { authorization: `Bearer ${READ_KEY}` }],
    ['a wrong key', { authorization: `Bearer slc_${'w'.repeat(40)}` }],
    ['no key', { authorization: '' }],
    ['another type', { 'content-type': 'text/plain' }],
    ['the type with a charset', { 'content-type': 'application/json; charset=utf-8' }],
    ['another charset', { 'content-type': 'application/json; charset=latin1' }],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['a type of its own', { 'content-type': 'application/graphql+json' }],
    ['a page of another site', { origin: 'https://elsewhere.example', cookie: 'a=b' }],
    ['a compressed body', { 'content-encoding': 'gzip' }],
    ['an end of the connection', { connection: 'close' }],
  ])('%s', async (_, headers) => {
    for (const body of [
      query('{ viewer }'),
      query('mutation { count }'),
      query('{ __schema { description } }'),
    ])
      await expectSame({ body, headers });
  });
});

test.each(['quick', 'short', 'yoga'] as const)('events that nobody takes are not made (%s)', async (way) => {
  const server = servers[0]?.[way];
  if (server === undefined) throw new Error('there is no server');
  // Now its key is known.
  await send(server, { body: query('{ hello }') });
  const headers = { accept: 'application/json' };
  expect((await send(server, { body: query('subscription { forever }'), headers })).status).toBe(406);
  await waitFor(() => server.running() === 0, { what: 'the end of the subscription' });
});

test('requests that wait behind another one end with their connection', async () => {
  const server = servers[0]?.quick;
  if (server === undefined) throw new Error('there is no server');
  const aborted = () => server.http.figures().requests.get('aborted') ?? 0;
  const [before, started] = [aborted(), server.started()];
  const body = query('{ waiting }');
  const head = `POST /graphql HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${KEY}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  socket.write(`${head}${body}`.repeat(3));
  await waitFor(() => server.started() >= started + 3);
  socket.destroy();
  await waitFor(() => aborted() === before + 3, { what: 'their end' });
  server.answerWaiting();
});

test('30 MB are taken on all ways', async () => {
  const body = query('{ hello }', { variables: { other: 'x'.repeat(30_000_000) } });
  for (const each of Object.values(servers[0] ?? {})) expect((await send(each, { body })).status).toBe(200);
});

test.each(['quick', 'short', 'yoga'] as const)("who leaves is nobody's error (%s)", async (way) => {
  const server = servers[0]?.[way];
  if (server === undefined) throw new Error('there is no server');
  const logged = server.logged.length;
  const aborted = () => server.http.figures().requests.get('aborted') ?? 0;
  const before = aborted();
  // Now its key is known.
  await send(server, { body: query('{ hello }') });
  const request = httpRequest(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}` },
  });
  request.on('error', () => {});
  const started = server.started();
  request.end(query('{ waiting }'));
  await waitFor(() => server.started() > started);
  request.destroy();
  await waitFor(() => aborted() > before, { what: 'the end of the one who leaves' });
  server.answerWaiting();
  // Whatever it was doing for them has ended by the time that another one has been answered.
  expect((await send(server, { body: query('{ slow(milliseconds: 50) }') })).status).toBe(200);
  expect(server.logged.slice(logged)).toEqual([]);
});
