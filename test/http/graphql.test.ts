import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ListenError } from '../../src/http/fastify.ts';
import {
  ask,
  codesOf,
  type GraphQLAnswer,
  KEY,
  post,
  SECRET,
  type SmallServer,
  STRANGE_KEY,
  startSmallServer,
} from './support.ts';

let server: SmallServer;
let countedBefore = 0;
beforeAll(async () => {
  server = await startSmallServer();
});
afterAll(() => server.http.stop());
beforeEach(() => {
  countedBefore = server.counted();
});

const MUTATION = JSON.stringify({ query: 'mutation { count }' });

describe('who may ask', () => {
  test('an operation with a good key is executed', async () => {
    expect(await ask(server, 'mutation { count }')).toEqual({ data: { count: countedBefore + 1 } });
    expect(await ask(server, '{ viewer }')).toEqual({ data: { viewer: 'ADMIN' } });
  });

  test.each([
    ['no key', {}],
    ['a key that nobody has', { authorization: `Bearer ${STRANGE_KEY}` }],
    ['another scheme', { authorization: `Basic ${KEY}` }],
    ['a key of another form', { authorization: 'Bearer slc_short' }],
  ])('with %s nothing is executed, and the answer is a GraphQL error with status 401', async (_, headers) => {
    const response = await post(server, MUTATION, { key: null, headers });
    expect(response.status).toBe(401);
    expect(codesOf((await response.json()) as GraphQLAnswer)).toEqual(['UNAUTHENTICATED']);
    expect(server.counted()).toBe(countedBefore);
  });

  test('of a client without a key no large body is read', async () => {
    const socket = connect(server.port, '127.0.0.1');
    socket.write(
      `POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${200 * 1024 * 1024}\r\n\r\n{`,
    );
    const [data] = await once(socket, 'data');
    expect(String(data)).toMatch(/^HTTP\/1\.1 401 .*\r\nconnection: close\r\n/is);
    await once(socket.resume(), 'end');
    socket.destroy();
  });
});

describe('what is taken', () => {
  test.each([
    ['application/x-www-form-urlencoded', 'query=mutation%20%7B%20count%20%7D'],
    [
      'multipart/form-data; boundary=x',
      `--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n${MUTATION}\r\n--x--\r\n`,
    ],
    ['text/plain', MUTATION],
    ['application/graphql', 'mutation { count }'],
    ['', MUTATION],
  ])('a body of the type "%s" is refused with 415 and not executed', async (type, body) => {
    const response = await post(server, body, { headers: { 'content-type': type } });
    expect(response.status).toBe(415);
    expect(codesOf((await response.json()) as GraphQLAnswer)).toEqual(['BAD_USER_INPUT']);
    expect(server.counted()).toBe(countedBefore);
  });

  test('operations are not executed by GET', async () => {
    for (const query of ['mutation { count }', '{ hello }']) {
      const response = await fetch(`${server.url}/graphql?query=${encodeURIComponent(query)}`, {
        headers: { authorization: `Bearer ${KEY}` },
      });
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST']);
      expect(await response.text()).not.toContain('world');
    }
    expect(server.counted()).toBe(countedBefore);
  });

  test.each([
    ['several operations at once', `[${MUTATION},${MUTATION}]`],
    ['what is no JSON', '{"query":'],
    ['nothing', ''],
    ['null', 'null'],
  ])('%s: status 400, and nothing is executed', async (_, body) => {
    const response = await post(server, body);
    expect(response.status).toBe(400);
    const answer = (await response.json()) as GraphQLAnswer;
    expect(codesOf(answer)).toEqual(['BAD_USER_INPUT']);
    expect(JSON.stringify(answer)).not.toMatch(/ at .*\.js|node_modules/);
    expect(server.counted()).toBe(countedBefore);
  });

  test('ten thousand items are taken, and a body of more than 32 MiB is refused with 413', async () => {
    const query = 'query ($items: [Item!]!) { size(items: $items) }';
    const items = Array.from({ length: 10_000 }, (_, at) => ({
      id: `${at}`,
      name: 'n'.repeat(150),
      tags: ['a', 'b'],
    }));
    const response = await post(server, { query, variables: { items } });
    expect(await response.json()).toEqual({ data: { size: 10_000 } });
    const refused = await post(server, `{"query":"{ hello }","x":"${'x'.repeat(32 * 1024 * 1024)}"}`);
    expect(refused.status).toBe(413);
  });
});

describe('errors', () => {
  test('of an unexpected one the caller learns an id, and the log has it under that id without variables', async () => {
    const response = await post(server, {
      query: 'query ($items: [Item!]!) { secretFailure size(items: $items) }',
      variables: { items: [{ id: 'a-very-private-name' }] },
    });
    const text = await response.text();
    expect(text).not.toContain('api_keys');
    const { errors } = JSON.parse(text) as GraphQLAnswer;
    expect(errors).toMatchObject([
      { path: ['secretFailure'], extensions: { code: 'INTERNAL_SERVER_ERROR' } },
    ]);
    const errorId = String(errors?.[0]?.extensions.errorId);
    expect(errors?.[0]?.message).toBe(`Unexpected error. Its id in the server's log is ${errorId}.`);
    const lines = server.logged.filter((line) => line.includes(errorId));
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 50, errorId, err: { message: SECRET } });
    expect(server.logged.join()).not.toContain('a-very-private-name');
  });

  test('null where the schema allows none is our fault, and told as one', async () => {
    expect(codesOf(await ask(server, '{ brokenPromise }'))).toEqual(['INTERNAL_SERVER_ERROR']);
  });

  test('an expected one is told as it is', async () => {
    expect(await ask(server, '{ refused }')).toMatchObject({
      data: { refused: null },
      errors: [{ message: 'There is no such thing.', path: ['refused'], extensions: { code: 'NOT_FOUND' } }],
    });
  });

  test.each([
    ['that is none', { variables: {} }],
    ['that cannot be parsed', { query: '{ hello' }],
    ['with a field that there is not', { query: '{ helo }' }],
    ['without a variable that it needs', { query: 'query ($to: Int!) { slow(milliseconds: $to) }' }],
    ['of a name that it does not hold', { query: 'query a { hello } query b { hello }', operationName: 'c' }],
    ['with two operations and no name', { query: 'query a { hello } query b { hello }' }],
  ])('an operation %s is BAD_USER_INPUT', async (_, body) => {
    const answer = (await (await post(server, body)).json()) as GraphQLAnswer;
    expect(answer.data ?? null).toBeNull();
    expect(codesOf(answer)).toEqual(['BAD_USER_INPUT']);
    const strict = await post(server, body, { accept: 'application/graphql-response+json' });
    expect(strict.status).toBe(400);
  });

  test('names that are nearly right are proposed', async () => {
    const { errors } = await ask(server, '{ helo }');
    expect(errors?.[0]?.message).toContain('Did you mean "hello"?');
  });

  test('what fails outside of GraphQL is told by an id, too', async () => {
    const broken = await startSmallServer({
      authenticate: async () => {
        throw new Error(SECRET);
      },
    });
    const response = await post(broken, MUTATION);
    const text = await response.text();
    await broken.http.stop();
    expect([response.status, codesOf(JSON.parse(text))]).toEqual([500, ['INTERNAL_SERVER_ERROR']]);
    expect(text).not.toContain('api_keys');
    expect(broken.logged.join()).toContain(JSON.parse(text).errors[0].extensions.errorId);
  });
});

describe('the server', () => {
  test('an operation that takes longer than its deadline is answered then', async () => {
    const began = performance.now();
    expect(codesOf(await ask(server, '{ slow(milliseconds: 5000) }'))).toEqual(['QUERY_TOO_COMPLEX']);
    expect(performance.now() - began).toBeLessThan(4_500);
    expect(await ask(server, '{ slow(milliseconds: 1) }')).toEqual({ data: { slow: 'done' } });
  });

  test('a port that is taken is one clear line', async () => {
    const second = startSmallServer({ port: server.port });
    await expect(second).rejects.toThrow(ListenError);
    await expect(second).rejects.toThrow(/^Port \d+ of 127\.0\.0\.1 is taken: [^\n]+$/);
  });

  test('what there is not is 404, and answers carry the headers that keep browsers from guessing', async () => {
    const response = await fetch(`${server.url}/nothing`);
    expect([response.status, response.headers.get('x-content-type-options')]).toEqual([404, 'nosniff']);
    expect(await response.json()).toEqual({ message: 'There is nothing here.' });
  });

  test('it is alive and ready without a key', async () => {
    expect((await fetch(`${server.url}/health/live`)).status).toBe(200);
    expect((await fetch(`${server.url}/health/ready`)).status).toBe(200);
  });
});
