import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { codesOf, post, type RawAnswer } from '../support/raw.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { serverSettings, TEST_KEY } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

let database: TestDatabase;
let dataDir: string;
let app: App;
let rows: Rows;
const logged: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'sluice-http-'));
  await chmod(dataDir, 0o711);
  const config = readConfig(serverSettings({ databaseUrl: database.url, dataDir }));
  app = await startApp(config, pino({ level: 'info' }, { write: (line: string) => void logged.push(line) }));
  rows = await openRows(database.url);
});

afterAll(async () => {
  await rows?.close();
  await app?.stop();
  await database?.drop();
  await rm(dataDir, { recursive: true, force: true });
});

const MUTATION = `mutation { startImport(input: { from: { videos: { systemName: "dam", videos: [
  { externalId: "a", url: "http://127.0.0.1:9/a.mp4", fileName: "a.mp4" }] } } }) { __typename } }`;
const BODY = JSON.stringify({ query: MUTATION });

const send = (body: string, headers: Readonly<Record<string, string>> = {}): Promise<RawAnswer> =>
  post({ url: app.url, key: TEST_KEY, body, headers });
const ask = async (query: string) => await send(JSON.stringify({ query }));

describe('nothing is executed', () => {
  const expectNothingStored = async () => expect(await rows.count('imports')).toBe(0);

  test.each([
    ['without a key', {}],
    ['with a wrong key', { authorization: `Bearer slc_${'w'.repeat(43)}` }],
    ['with a key of another form', { authorization: 'Bearer secret' }],
    ['with another scheme', { authorization: `Basic ${TEST_KEY}` }],
    ['with a key in another header', { 'x-api-key': TEST_KEY }],
  ])('%s: 401', async (_, headers: Readonly<Record<string, string>>) => {
    const { status, text, headers: answered } = await post({ url: app.url, body: BODY, headers });
    expect([status, ...codesOf(text)]).toEqual([401, 'UNAUTHENTICATED']);
    expect(answered.get('www-authenticate')).toBe('Bearer');
    await expectNothingStored();
  });

  test.each([
    ['text/plain', BODY],
    ['application/graphql', MUTATION],
    ['application/x-www-form-urlencoded', `query=${encodeURIComponent(MUTATION)}`],
    ['application/x-ndjson', BODY],
  ])('of a body that is %s: 415', async (type, body) => {
    const { status } = await send(body, { 'content-type': type });
    expect(status).toBe(415);
    await expectNothingStored();
  });

  test('of forms: 415', async () => {
    const form = new FormData();
    form.set('operations', BODY);
    form.set('map', '{}');
    const both = [form, new URLSearchParams({ query: MUTATION })];
    for (const body of both) expect((await post({ url: app.url, key: TEST_KEY, body })).status).toBe(415);
    await expectNothingStored();
  });

  test('by GET', async () => {
    const url = `${app.url}/graphql?query=${encodeURIComponent(MUTATION)}`;
    for (const accept of ['application/json', '*/*', 'text/html']) {
      const response = await fetch(url, { headers: { authorization: `Bearer ${TEST_KEY}`, accept } });
      expect(response.status).toBe(accept === 'text/html' ? 200 : 405);
      await response.text();
    }
    await expectNothingStored();
  });

  test.each([
    ['a batch', `[${BODY},${BODY}]`],
    ['an empty batch', '[]'],
    ['no JSON', '{'],
    ['nothing', ''],
    ['null', 'null'],
    ['a number', '5'],
    ['no query', '{}'],
    ['a query that is none', '{"query":5}'],
    ['variables that are none', JSON.stringify({ query: MUTATION, variables: 'x' })],
    ['two operations and no name', JSON.stringify({ query: `query A { __typename } ${MUTATION}` })],
    ['the name of none', JSON.stringify({ query: MUTATION, operationName: 'B' })],
    ['a syntax error', JSON.stringify({ query: `${MUTATION} }` })],
    ['a field that is none', JSON.stringify({ query: MUTATION.replace('__typename', 'none') })],
  ])('of %s: an error of the caller', async (_, body) => {
    const { status, text } = await send(body);
    expect(status).toBeLessThan(500);
    expect(new Set(codesOf(text))).toEqual(new Set(['BAD_USER_INPUT']));
    await expectNothingStored();
  });

  test('of more than 32 MiB: 413, before it has come', async () => {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${TEST_KEY}`,
        'content-type': 'application/json',
        'content-length': 32 * 1024 * 1024 + 1,
      };
      const request = httpRequest(`${app.url}/graphql`, { method: 'POST', headers });
      request.on('response', (response) => {
        resolve(response.statusCode);
        request.destroy();
      });
      request.on('error', reject);
      request.write('{"query":');
    });
    expect(status).toBe(413);
    await expectNothingStored();
  });
});

const nested = (depth: number) =>
  `{ tasks { nodes ${'{ import { tasks { nodes '.repeat(depth)} { id } ${'} } }'.repeat(depth)} } }`;
const fields = (count: number, make: (n: number) => string) =>
  Array.from({ length: count }, (_, n) => make(n)).join(' ');

test.each([
  ['depth', nested(5)],
  ['2,000 levels', nested(667)],
  ['2,000 levels of braces', `${'{a'.repeat(2_000)}${'}'.repeat(2_000)}`],
  ['2,000 levels of lists', `{ task(id: ${'['.repeat(2_000)}${']'.repeat(2_000)}) { id } }`],
  [
    '900 levels of lists, within the number of tokens',
    `{ task(id: ${'['.repeat(900)}${']'.repeat(900)}) { id } }`,
  ],
  [
    'depth through fragments',
    `${nested(1).replace('{ id }', '{ ...A }')}
    fragment A on Task { import { tasks { nodes { import { tasks { nodes { import { tasks { nodes { id } } } } } } } } } }`,
  ],
  ['aliases', `{ ${fields(16, (n) => `a${n}: viewer { keyName }`)} }`],
  [
    'aliases through fragments',
    `{ ${fields(10, () => '...A')} } fragment A on Query { ${fields(9, (n) => `a${n}: viewer { keyName }`)} }`,
  ],
  ['tokens', `{ viewer { ${fields(2_000, () => 'keyName')} } }`],
  ['directives', `{ viewer { keyName ${fields(9, () => '@include(if: true)')} } }`],
])('an operation of too many %s is refused', async (_, query) => {
  const { status, text } = await ask(query);
  expect(status).toBeLessThan(500);
  expect(codesOf(text).length).toBeGreaterThan(0);
  for (const code of codesOf(text))
    expect(['QUERY_TOO_COMPLEX', 'BAD_USER_INPUT'], logged.at(-1)).toContain(code);
  if (!query.includes('[')) expect(codesOf(text)).toContain('QUERY_TOO_COMPLEX');
});

test('fragments that multiply at every level are refused at once', async () => {
  // Spread out they are 60 to the power of 5.
  const levels = fields(5, (n) => `fragment F${n} on Query { ${fields(60, () => `...F${n + 1}`)} }`);
  const { text } = await ask(`{ ...F0 } ${levels} fragment F5 on Query { viewer { keyName } }`);
  expect(codesOf(text)).toEqual(['QUERY_TOO_COMPLEX']);
});

test('a chain of fragments that is too long is refused at once', async () => {
  const chain = fields(60, (n) => `fragment F${n} on Query { ...F${n + 1} ...F${n + 1} }`);
  const { text } = await ask(`{ ...F0 } ${chain} fragment F60 on Query { viewer { keyName } }`);
  expect(codesOf(text)).toEqual(['QUERY_TOO_COMPLEX']);
});

test('fragments in a circle are an error of the caller', async () => {
  const { text } = await ask('{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }');
  expect(new Set(codesOf(text))).toEqual(new Set(['BAD_USER_INPUT']));
});

test('what breaks in the database is told by an id, under which the log has what broke, and none of the variables', async () => {
  await rows.all('alter table tasks rename to tasks_away');
  try {
    const query =
      'query ($name: String!) { tasks(filter: { fileName: { equals: $name } }) { nodes { id } } }';
    const { text } = await send(JSON.stringify({ query, variables: { name: 'very-private-name' } }));
    expect(codesOf(text)).toEqual(['INTERNAL_SERVER_ERROR']);
    const { errorId } = JSON.parse(text).errors[0].extensions;
    expect(errorId).toMatch(/^[0-9a-f-]{36}$/);
    expect(text).not.toMatch(/relation|select|tasks_away|very-private-name/);
    const line = logged.find((entry) => entry.includes(errorId));
    expect(line).toContain('relation \\"tasks\\" does not exist');
    expect(line).not.toContain('very-private-name');
  } finally {
    await rows.all('alter table tasks_away rename to tasks');
  }
  expect((await ask('{ tasks { totalCount } }')).text).toBe('{"data":{"tasks":{"totalCount":0}}}');
});

test('a key that is revoked in the database, or expires there, is none within a second', async () => {
  const becomes = async (status: number) => {
    const began = performance.now();
    await waitFor(async () => (await ask('{ viewer { keyName } }')).status === status);
    // A second, as the tests of known keys hold it to, and what a busy machine adds.
    expect(performance.now() - began).toBeLessThan(10_000);
  };
  await rows.all('update api_keys set revoked_at = now()');
  try {
    await becomes(401);
  } finally {
    await rows.all('update api_keys set revoked_at = null');
  }
  for (const [expiry, status] of [
    ["now() + interval '1 hour'", 200],
    ["now() - interval '1 second'", 401],
    ['null', 200],
  ] as const) {
    await rows.all(`update api_keys set expires_at = ${expiry}`);
    await becomes(status);
  }
});
