import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Answer } from '../../src/http/answer.ts';
import { createKeyWatch } from '../../src/http/key-watch.ts';
import { createQuickRoute } from '../../src/http/quick-route.ts';
import { READ_KEY } from './support.ts';

const VIEWER = { keyId: '1', keyName: 'a', scopes: ['READ'], defaultTeamId: '1', teamIds: ['1'] };
const BODY = '{"query":"{ hello }"}';

let answer: Answer;
const answerAll: Answer = async ({ body, context }) => ({
  contentType: 'application/json; charset=utf-8',
  payload: JSON.stringify({ took: body, as: context.viewer.keyName }),
});
const route = createQuickRoute({
  answer: (request, client) => answer(request, client),
  keys: createKeyWatch(async () => VIEWER),
  viewerOf: (key) => (key === READ_KEY ? VIEWER : null),
  headers: { 'x-careful': 'yes' },
  fail: () => ({ status: 503, headers: { 'retry-after': '2' }, body: { message: 'away' } }),
});
/** What the quick route leaves, this answers. */
const server = createServer((request, response) => {
  if (!route(request, response)) response.end('{"left":true}');
});

beforeAll(() => once(server.listen(0, '127.0.0.1'), 'listening'));
afterAll(() => server.close());
beforeEach(() => {
  answer = answerAll;
});

interface Changes {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly body?: string;
}

async function send({ method = 'POST', path = '/graphql', headers = {}, body = BODY }: Changes = {}) {
  const { port } = server.address() as AddressInfo; // it listens on a port
  const all = {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    authorization: `Bearer ${READ_KEY}`,
    ...headers,
  };
  const kept = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  const request = httpRequest({ port, host: '127.0.0.1', method, path, headers: kept });
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return { status: response.statusCode, headers: response.headers, body: await json(response) };
}

test.each<[string, Changes]>([
  ['an ordinary request', {}],
  ['a charset', { headers: { 'content-type': 'application/json; charset=utf-8' } }],
  ['who takes JSON', { headers: { accept: 'application/graphql-response+json, application/json;q=0.9' } }],
  ['64 KiB', { body: JSON.stringify({ query: 'x'.repeat(64 * 1024 - 12) }) }],
  ['characters of several bytes', { body: '{"query":"{ hello # é 𝄞 }"}' }],
])('takes %s', async (_, changes) => {
  const { status, headers, body } = await send(changes);
  expect({ status, body }).toEqual({ status: 200, body: { took: changes.body ?? BODY, as: 'a' } });
  expect(headers).toMatchObject({ 'x-careful': 'yes', 'content-type': 'application/json; charset=utf-8' });
});

test.each<[string, Changes]>([
  ['another method', { method: 'PUT' }],
  ['another path', { path: '/graphql/' }],
  ['a path with a query', { path: '/graphql?query=x' }],
  ['another type', { headers: { 'content-type': 'text/plain' } }],
  ['no type', { headers: { 'content-type': undefined } }],
  ['another charset', { headers: { 'content-type': 'application/json; charset=latin1' } }],
  ['a key that is not known', { headers: { authorization: `Bearer slc_${'w'.repeat(40)}` } }],
  ['no key', { headers: { authorization: undefined } }],
  ['more than 64 KiB', { body: JSON.stringify({ query: 'x'.repeat(64 * 1024 - 11) }) }],
  ['nothing', { body: '' }],
  ['no length', { headers: { 'content-length': undefined, 'transfer-encoding': 'chunked' } }],
  ['a compressed body', { headers: { 'content-encoding': 'gzip' } }],
  ['who waits to be told to go on', { headers: { expect: '100-continue' } }],
  ['who takes what is not said', { headers: { accept: '' } }],
  ['who takes anything', { headers: { accept: '*/*' } }],
  ['who takes any text', { headers: { accept: 'application/json, text/*' } }],
  ['who wants events', { headers: { accept: 'application/json, text/Event-Stream' } }],
])('leaves %s', async (_, changes) => {
  expect((await send(changes)).body).toEqual({ left: true });
});

test('what Yoga answers is sent on', async () => {
  answer = async () => Response.json({ errors: [] }, { status: 400, headers: { allow: 'POST' } });
  expect(await send()).toMatchObject({
    status: 400,
    headers: { allow: 'POST', 'x-careful': 'yes', 'content-type': 'application/json' },
    body: { errors: [] },
  });
});

test('what fails is told as a failure', async () => {
  answer = () => Promise.reject(new Error('secret'));
  expect(await send()).toMatchObject({
    status: 503,
    headers: { 'retry-after': '2', 'x-careful': 'yes', 'content-type': 'application/json; charset=utf-8' },
    body: { message: 'away' },
  });
});

test('a call too many is told when to come again', async () => {
  answer = (request, client) => {
    request.context.tellRetryAfter?.(7);
    return answerAll(request, client);
  };
  expect((await send()).headers['retry-after']).toBe('7');
});
