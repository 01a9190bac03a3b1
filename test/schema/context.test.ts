import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTeller, type Teller } from '../flows/webhook-imports.ts';
import { graphql } from '../support/graphql.ts';
import { post } from '../support/raw.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

/** Nobody listens there; planning leaves it to a worker. */
const NOWHERE = 'http://127.0.0.1:9/video.mp4';

const PLAN = graphql(`
  query ContextPlan($input: StartImportInput!) {
    importPlan(input: $input) { __typename ... on ImportPlanSuccess { plan { found } } }
  }
`);

let server: TestServer;
let rows: Rows;
let teller: Teller;

beforeAll(async () => {
  server = await startTestServer({ SLUICE_PLAN_SECONDS: '0.1' });
  rows = await openRows(server.databaseUrl);
  teller = createTeller(server, { databaseUrl: server.databaseUrl, missing: NOWHERE });
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

/** A context of so many bytes of JSON, made of one character again and again. */
function contextOf(bytes: number, character = 'a') {
  const frame = JSON.stringify({ text: '' }).length;
  const text = character.repeat(Math.ceil((bytes - frame) / Buffer.byteLength(character)));
  return { text };
}

const tooLong = { path: ['input', 'context'], code: 'TOO_LONG' };

test('a context comes back as it was given', async () => {
  const contexts = [
    {},
    { a: null, b: [], c: {}, d: [1, -2.5e-7, true, 'x', [{}]] },
    { ' \u0000\ud800"\\': '💥\u202e\u2028', __proto_: 1 },
    JSON.parse('{"__proto__":{"a":1},"constructor":{"prototype":2},"10":1,"2":0}'),
    contextOf(8192),
  ];
  for (const context of contexts) {
    const { id } = await teller.start({ context });
    expect(JSON.stringify((await teller.look(id)).context)).toBe(JSON.stringify(context));
  }
  expect((await teller.start({})).context).toBeNull();
});

test('a context is an object of 8,192 bytes of UTF-8 at most, however few characters that are', async () => {
  const before = await rows.count('imports');
  const deep = JSON.parse(`${'{"a":'.repeat(2000)}1${'}'.repeat(2000)}`);
  for (const context of [contextOf(8193), contextOf(8193, 'é'), contextOf(8192, '💥'), deep]) {
    const answer = await teller.ask({ context });
    expect(answer).toMatchObject({ __typename: 'InvalidInputError', issues: [tooLong] });
  }
  for (const context of [[], 'text', 7, true]) {
    const issues = [{ path: ['input', 'context'], code: 'INVALID', message: 'must be a JSON object' }];
    expect(await teller.ask({ context })).toMatchObject({ __typename: 'InvalidInputError', issues });
  }
  expect(await rows.count('imports')).toBe(before);
});

test('a context nested a million deep is refused and does no harm', async () => {
  const nested = `${'{"a":'.repeat(1_000_000)}1${'}'.repeat(1_000_000)}`;
  const query =
    'mutation($c: JSON) { startImport(input: {from: {videos: {systemName: "s", videos: []}}, context: $c}) { __typename } }';
  const body = `{"query":${JSON.stringify(query)},"variables":{"c":${nested}}}`;
  const { text } = await post({ url: server.url, key: server.key, body });
  expect(text).toContain('InvalidInputError');
});

test('a context may stand in the document itself, where no key is named twice', async () => {
  const ask = async (context: string) => {
    const from = `{videos: {systemName: "literal", videos: [{externalId: "a", url: "${NOWHERE}", fileName: "a.mp4"}]}}`;
    const query = `mutation { startImport(input: {from: ${from}, context: ${context}}) { ... on StartImportSuccess { import { context } } } }`;
    return (await post({ url: server.url, key: server.key, body: JSON.stringify({ query }) })).text;
  };
  expect(JSON.parse(await ask('{a: [1, 2.5, "x", null, true], b: {c: 1}}'))).toEqual({
    data: { startImport: { import: { context: { a: [1, 2.5, 'x', null, true], b: { c: 1 } } } } },
  });
  expect(await ask('{a: {b: 1, b: 2}}')).toContain('BAD_USER_INPUT');
});

test('the context belongs to the input of an idempotency key', async () => {
  const idempotencyKey = 'context';
  const first = await teller.start({ context: { a: 1 }, idempotencyKey });
  expect((await teller.start({ context: { a: 1 }, idempotencyKey })).id).toBe(first.id);
  const other = await teller.ask({ context: { a: 2 }, idempotencyKey });
  expect(other.__typename).toBe('IdempotencyConflictError');
});

test.each([
  ['no URL', 'nonsense', 'INVALID'],
  ['nothing', '', 'TOO_SHORT'],
  ['another scheme', 'ftp://example.com/', 'INVALID'],
  ['a password', 'https://user:hunter2@example.com/', 'INVALID'],
  ['a long URL', `https://example.com/${'a'.repeat(8192)}`, 'TOO_LONG'],
  ['U+0000', 'https://example.com/\u0000', 'INVALID'],
  ['a private address', 'http://10.0.0.1/', 'FORBIDDEN_ADDRESS'],
  ['an address in an address', 'http://[::ffff:169.254.169.254]/', 'FORBIDDEN_ADDRESS'],
  ['an address in hex', 'http://0x7f.2/', 'FORBIDDEN_ADDRESS'],
  ['this machine', 'http://127.0.0.2:8080/', 'FORBIDDEN_ADDRESS'],
])('a webhook at %s is no import', async (_what, url, code) => {
  const before = await rows.count('imports');
  const answer = await teller.ask({ url });
  const issues = [{ path: ['input', 'webhook', 'url'], code }];
  expect(answer).toMatchObject({ __typename: 'InvalidInputError', issues });
  expect(JSON.stringify(answer)).not.toContain('hunter2');
  expect(await rows.count('imports')).toBe(before);
});

test('importPlan is not interested in webhook and context', async () => {
  const videos = [{ externalId: 'a', url: NOWHERE, fileName: 'a.mp4' }];
  const input = { from: { videos: { systemName: 's', videos } }, webhook: { url: 'nonsense' }, context: [1] };
  expect(await server.query(PLAN, { input })).toEqual({
    importPlan: { __typename: 'ImportPlanSuccess', plan: { found: 1 } },
  });
});
