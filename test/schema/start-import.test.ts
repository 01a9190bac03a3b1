import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Origin, startOrigin } from '../sources/origin.ts';
import { graphql, type VariablesOf } from '../support/graphql.ts';
import { codesOf, post } from '../support/raw.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const START_IMPORT = graphql(`
  mutation StartImport($input: StartImportInput!) {
    startImport(input: $input) {
      __typename
      ... on InvalidInputError { message issues { path code message } }
    }
  }
`);

type Input = VariablesOf<typeof START_IMPORT>['input'];
type Video = Extract<Input['from'], { videos: unknown }>['videos']['videos'][number];

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

const video = (changes: Partial<Video> = {}): Video => ({
  externalId: 'a-1',
  url: origin.url.href,
  fileName: 'a.mp4',
  ...changes,
});
const input = (videos: readonly Video[], changes: Partial<Input> = {}, systemName = 'dam'): Input => ({
  from: { videos: { systemName, videos: [...videos] } },
  ...changes,
});
const TABLES = [
  'imports',
  'import_entries',
  'tasks',
  'failed_files',
  'jobs',
  'idempotency_keys',
  'video_keys',
];
// The one job that a server always has plans its own next run.
const rowsOf = (table: string) =>
  table === 'jobs' ? `jobs where kind not in ('sweep-storage', 'remove-expired')` : table;
const stored = () =>
  rows.one(
    `select ${TABLES.map((table) => `(select count(*)::int from ${rowsOf(table)}) as ${table}`).join(', ')}`,
  );

const emoji = (length: number) => '😀'.repeat(length);
const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`key-${n}`, n]));
/** Metadata of exactly so many bytes of JSON. */
const bytes = (count: number) => ({ text: 'x'.repeat(count - '{"text":""}'.length) });

const AT = ['input', 'from', 'videos', 'videos'];
const RESERVED = [
  ...['fileName', 'size', 'duration', 'width', 'height', 'container', 'mimeType', 'videoCodec', 'audioCodec'],
  ...['frameRate', 'bitrate', 'rotation', 'hdr', 'length'],
];

describe('nothing is stored of', () => {
  // Only tables that hold something would show that more was stored.
  const NOTHING = Object.fromEntries(TABLES.map((table) => [table, 0]));
  afterEach(async () => expect(await stored()).toEqual(NOTHING));

  test.each<[string, () => Input, readonly (readonly [readonly string[], string])[]]>([
    [
      'U+0000 in an externalId',
      () => input([video({ externalId: 'a\0b' })]),
      [[[...AT, '0', 'externalId'], 'INVALID']],
    ],
    [
      'U+0000 in a description',
      () => input([video({ description: '\0' })]),
      [[[...AT, '0', 'description'], 'INVALID']],
    ],
    ['a lone high surrogate', () => input([video({ name: 'x\ud83d' })]), [[[...AT, '0', 'name'], 'INVALID']]],
    [
      'a lone low surrogate',
      () => input([video({ fileName: '\ude00x' })]),
      [[[...AT, '0', 'fileName'], 'INVALID']],
    ],
    [
      'a surrogate in systemName',
      () => input([video()], {}, '\ud800'),
      [[[...AT.slice(0, 3), 'systemName'], 'INVALID']],
    ],
    [
      'U+0000 in metadata',
      () => input([video()], { metadata: { a: 'x\0' } }),
      [[['input', 'metadata', 'a'], 'INVALID']],
    ],
    [
      'U+0000 in a key',
      () => input([video()], { metadata: { 'a\0': 1 } }),
      [[['input', 'metadata', 'a\0'], 'INVALID']],
    ],
    [
      'a surrogate in a video’s metadata',
      () => input([video(), video({ metadata: { a: '\udfff' } })]),
      [[[...AT, '1', 'metadata', 'a'], 'INVALID']],
    ],
    [
      'reserved keys of metadata',
      () => input([video()], { metadata: Object.fromEntries(RESERVED.map((key) => [key, 1])) }),
      RESERVED.map((key) => [['input', 'metadata', key], 'RESERVED_KEY'] as const),
    ],
    ['101 keys', () => input([video()], { metadata: keys(101) }), [[['input', 'metadata'], 'TOO_MANY']]],
    [
      '16,385 bytes',
      () => input([video({ metadata: bytes(16_385) })]),
      [[[...AT, '0', 'metadata'], 'TOO_LONG']],
    ],
    [
      'an empty key',
      () => input([video()], { metadata: { '': 1 } }),
      [[['input', 'metadata', ''], 'TOO_SHORT']],
    ],
    [
      'a key of 256 characters',
      () => input([video()], { metadata: { [emoji(256)]: 1 } }),
      [[['input', 'metadata', emoji(256)], 'TOO_LONG']],
    ],
    [
      'texts of 256 characters',
      () =>
        input(
          [
            video({
              externalId: 'x'.repeat(256),
              fileName: emoji(256),
              name: emoji(256),
              description: emoji(512),
            }),
          ],
          { idempotencyKey: emoji(256) },
          emoji(256),
        ),
      [
        [['input', 'from', 'videos', 'systemName'], 'TOO_LONG'],
        [[...AT, '0', 'externalId'], 'TOO_LONG'],
        [[...AT, '0', 'fileName'], 'TOO_LONG'],
        [[...AT, '0', 'name'], 'TOO_LONG'],
        [[...AT, '0', 'description'], 'TOO_LONG'],
        [['input', 'idempotencyKey'], 'TOO_LONG'],
      ],
    ],
    [
      'empty texts',
      () => input([video({ externalId: '', fileName: '', name: '' })], { idempotencyKey: '' }, ''),
      [
        [['input', 'from', 'videos', 'systemName'], 'TOO_SHORT'],
        [[...AT, '0', 'externalId'], 'TOO_SHORT'],
        [[...AT, '0', 'fileName'], 'TOO_SHORT'],
        [[...AT, '0', 'name'], 'TOO_SHORT'],
        [['input', 'idempotencyKey'], 'TOO_SHORT'],
      ],
    ],
    ['no video', () => input([]), [[AT, 'TOO_FEW']]],
    ['10,001 videos', () => input(Array.from({ length: 10_001 }, () => video())), [[AT, 'TOO_MANY']]],
    [
      'a sha256 that is none',
      () => input([video({ sha256: 'abc' }), video({ sha256: 'g'.repeat(64) })]),
      [
        [[...AT, '0', 'sha256'], 'INVALID'],
        [[...AT, '1', 'sha256'], 'INVALID'],
      ],
    ],
    [
      'no url',
      () => input([video(), { externalId: 'b', fileName: 'b.mp4' }, video({ url: null })]),
      [
        [[...AT, '1', 'url'], 'REQUIRED'],
        [[...AT, '2', 'url'], 'REQUIRED'],
      ],
    ],
    [
      'a url that may not be',
      () =>
        input(
          [
            '',
            'x',
            '/a.mp4',
            'ftp://example.com/a.mp4',
            'file:///etc/passwd',
            'http://user:secret@example.com/a.mp4',
          ].map((url) => video({ url })),
        ),
      [0, 1, 2, 3, 4, 5].map((n) => [[...AT, String(n), 'url'], 'INVALID'] as const),
    ],
  ])('%s', async (_, makeInput, issues) => {
    const { startImport } = await server.query(START_IMPORT, { input: makeInput() });
    if (startImport.__typename !== 'InvalidInputError') throw new Error(`${startImport.__typename}`);
    expect(startImport.issues.map(({ path, code }) => [path, code])).toEqual(issues);
    for (const { message } of startImport.issues) expect(message).not.toContain('secret');
  });

  test('10,000 faults, of which the first 100 are named', async () => {
    const videos = Array.from({ length: 10_000 }, () => video({ name: '' }));
    const { startImport } = await server.query(START_IMPORT, { input: input(videos) });
    if (startImport.__typename !== 'InvalidInputError') throw new Error(`${startImport.__typename}`);
    expect(startImport.issues).toHaveLength(100);
    expect(startImport.issues.at(-1)?.path).toEqual([...AT, '99', 'name']);
  });

  test.each([
    ['nested metadata', '{"a":{"b":1}}'],
    ['a list in metadata', '{"a":[1]}'],
    ['null in metadata', '{"a":null}'],
    ['Infinity in metadata', '{"a":1e400}'],
    ['-Infinity in metadata', '{"a":-1e400}'],
    ['metadata that is a list', '[1]'],
    ['metadata that is a text', '"x"'],
    ['an object as __proto__', '{"__proto__":{"a":1}}'],
  ])('%s, which is a GraphQL error', async (_, metadata) => {
    const variables = JSON.stringify({ input: input([video()], { metadata: { here: 1 } }) });
    const query = 'mutation ($input: StartImportInput!) { startImport(input: $input) { __typename } }';
    const body = `{"query":${JSON.stringify(query)},"variables":${variables.replace('{"here":1}', metadata)}}`;
    const { text } = await post({ url: server.url, key: server.key, body });
    expect(codesOf(text)).toEqual(['BAD_USER_INPUT']);
  });

  test.each([
    ['no source', '{ from: {} }'],
    ['a source that is null', '{ from: { videos: null } }'],
    ['a field that is none', '{ from: { videos: { systemName: "a", videos: [] } }, more: 1 }'],
    [
      'a metadata literal with a key twice',
      '{ from: { videos: { systemName: "a", videos: [] } }, metadata: { a: 1, a: 2 } }',
    ],
  ])('%s, which is a GraphQL error', async (_, literal) => {
    const query = `mutation { startImport(input: ${literal}) { __typename } }`;
    const { text } = await post({ url: server.url, key: server.key, body: JSON.stringify({ query }) });
    expect(new Set(codesOf(text))).toEqual(new Set(['BAD_USER_INPUT']));
  });
});
