import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Origin, startOrigin } from '../sources/origin.ts';
import { graphql, type VariablesOf } from '../support/graphql.ts';
import { post } from '../support/raw.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const START_IMPORT = graphql(`
  mutation StartImportAccepted($input: StartImportInput!) {
    startImport(input: $input) {
      __typename
      ... on StartImportSuccess { import { id systemName metadata counts { found } } }
    }
  }
`);

type Input = VariablesOf<typeof START_IMPORT>['input'];

let server: TestServer;
let rows: Rows;
let origin: Origin;

beforeAll(async () => {
  origin = await startOrigin((_request, response) => response.writeHead(404).end());
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
  await origin?.close();
});

const emoji = (length: number) => '😀'.repeat(length);

test('texts of 255 characters, emoji each, 100 keys and 16,384 bytes of metadata are stored as given', async () => {
  const url = origin.url.href;
  const [first, second] = [
    {
      externalId: emoji(255),
      url,
      fileName: emoji(255),
      name: emoji(255),
      description: emoji(511),
      metadata: { text: 'x'.repeat(16_384 - '{"text":""}'.length) },
    },
    { externalId: 'b', url, fileName: 'b.mp4', sha256: 'AB'.repeat(32) },
  ];
  const keys = Object.fromEntries(Array.from({ length: 99 }, (_, n) => [`key-${n}`, n]));
  const input: Input = {
    from: { videos: { systemName: emoji(255), videos: [first, second] } },
    metadata: { ...keys, [emoji(255)]: emoji(10) },
    idempotencyKey: emoji(255),
  };
  const { startImport } = await server.query(START_IMPORT, { input });
  if (startImport.__typename !== 'StartImportSuccess') throw new Error(`${startImport.__typename}`);
  const { id, ...made } = startImport.import;
  expect(made).toEqual({ systemName: emoji(255), metadata: input.metadata, counts: { found: 2 } });
  const entries = await rows.all<{ input: unknown }>(
    'select input from import_entries where import_id = $1 order by ordinal',
    [id.slice('imp_'.length)],
  );
  // A SHA-256 is compared in lower case.
  expect(entries.map((entry) => entry.input)).toEqual([first, { ...second, sha256: 'ab'.repeat(32) }]);
});

test('metadata keys that mean something to JavaScript are keys like any other', async () => {
  const metadata = '{"__proto__":"kept","constructor":1,"toString":true}';
  const video = `{"externalId":"a","url":"${origin.url.href}","fileName":"a.mp4","metadata":${metadata}}`;
  const input = `{"from":{"videos":{"systemName":"js","videos":[${video}]}},"metadata":${metadata}}`;
  const query = `mutation ($input: StartImportInput!) {
    startImport(input: $input) { ... on StartImportSuccess { import { metadata } } }
  }`;
  const body = `{"query":${JSON.stringify(query)},"variables":{"input":${input}}}`;
  const { text } = await post({ url: server.url, key: server.key, body });
  for (const pair of ['"__proto__":"kept"', '"constructor":1', '"toString":true'])
    expect(text).toContain(pair);
  const [entry] = await rows.all<{ stored: string }>(
    `select input ->> 'metadata' as stored from import_entries where input ->> 'externalId' = 'a'`,
  );
  expect(entry?.stored).toContain('"__proto__": "kept"');
  expect(Object.hasOwn(Object.prototype, 'kept')).toBe(false);
});
