import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Origin, startOrigin } from '../sources/origin.ts';
import { createTestClient } from '../support/client.ts';
import { graphql, type VariablesOf } from '../support/graphql.ts';
import { firstTeam, insertTeam, openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const START_IMPORT = graphql(`
  mutation StartImportOnce($input: StartImportInput!) {
    startImport(input: $input) {
      __typename
      ... on StartImportSuccess { import { id finished counts { found rejected } } }
    }
  }
`);
const IMPORT_STATUS = graphql(`query Once($id: ID!) { importStatus(id: $id) { finished state } }`);

type Input = VariablesOf<typeof START_IMPORT>['input'];
type FromVideos = Extract<Input['from'], { videos: unknown }>;
/** The videos of an input that names some. */
const videosOf = ({ from }: Input) => (from as FromVideos).videos.videos;

let server: TestServer;
let rows: Rows;
let origin: Origin;
let idempotencyKey: string;

beforeAll(async () => {
  origin = await startOrigin((_request, response) => response.writeHead(404).end());
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
});

beforeEach(() => {
  idempotencyKey = randomUUID();
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
  await origin?.close();
});

const input = (changes: Partial<Input> = {}): Input => ({
  from: {
    videos: {
      systemName: 'dam',
      videos: [1, 2, 3].map((n) => ({
        externalId: `a-${n}`,
        url: origin.url.href,
        fileName: 'a.mp4',
        metadata: { one: 1, two: 'two' },
      })),
    },
  },
  metadata: { a: 1, b: true },
  idempotencyKey,
  ...changes,
});

const call = async (given: Input, client: Pick<TestServer, 'query'> = server) =>
  (await client.query(START_IMPORT, { input: given })).startImport;

const start = async (given: Input) => {
  const result = await call(given);
  if (result.__typename !== 'StartImportSuccess') throw new Error(`${result.__typename}`);
  return result.import;
};

test('50 equal calls at once make one import, and all answer with it', async () => {
  const before = await rows.count('imports');
  const made = await Promise.all(Array.from({ length: 50 }, () => start(input())));
  expect(made).toHaveLength(50);
  expect(new Set(made.map(({ id }) => id)).size).toBe(1);
  expect(await rows.count('imports')).toBe(before + 1);
  const [entries] = await rows.all<{ n: number }>(
    'select count(*)::int as n from import_entries where import_id = $1',
    [made[0]?.id.slice('imp_'.length)],
  );
  expect(entries?.n).toBe(3);
});

const untilFinished = (id: string) =>
  expect.poll(async () => (await server.query(IMPORT_STATUS, { id })).importStatus?.finished).toBe(true);

test('a call repeated later answers with the import as it is now', async () => {
  const { id } = await start(input());
  await untilFinished(id);
  expect(await start(input())).toEqual({ id, finished: true, counts: { found: 3, rejected: 3 } });
});

test('without a key every call makes an import', async () => {
  const [first, second] = [
    await start(input({ idempotencyKey: null })),
    await start(input({ idempotencyKey: null })),
  ];
  expect(first.id).not.toBe(second.id);
});

test('neither the order of keys nor a null for what is left out makes another input', async () => {
  const given = input();
  const { id } = await start(given);
  const turned = {
    idempotencyKey,
    incremental: true,
    indexId: null,
    metadata: { b: true, a: 1 },
    from: {
      videos: {
        videos: videosOf(given).map(({ externalId, url, fileName }) => ({
          sha256: null,
          metadata: { two: 'two', one: 1 },
          name: null,
          fileName,
          url,
          externalId,
        })),
        systemName: 'dam',
      },
    },
  } as Input; // as the variables of a client without types
  expect((await start(turned)).id).toBe(id);
});

test.each<[string, (given: Input) => Partial<Input>]>([
  [
    'a video less',
    (given) => ({
      from: { videos: { systemName: 'dam', videos: videosOf(given).slice(1) } },
    }),
  ],
  [
    'the videos in another order',
    (given) => ({
      from: { videos: { systemName: 'dam', videos: videosOf(given).toReversed() } },
    }),
  ],
  ['other metadata', () => ({ metadata: { a: 1, b: false } })],
  ['a number as text', () => ({ metadata: { a: '1', b: true } })],
  ['no metadata', () => ({ metadata: null })],
  ['incremental: false', () => ({ incremental: false })],
])('%s under the same key is a conflict, and stores nothing', async (_, change) => {
  const given = input();
  await start(given);
  const before = await rows.count('imports');
  expect((await call({ ...given, ...change(given) })).__typename).toBe('IdempotencyConflictError');
  expect(await rows.count('imports')).toBe(before);
});

test('a call that ended in an error uses up no key', async () => {
  const given = input();
  expect((await call(input({ metadata: { width: 1 } }))).__typename).toBe('InvalidInputError');
  expect((await call(input({ indexId: `idx_${randomUUID()}` }))).__typename).toBe('NotFoundError');
  const nested = { ...given, metadata: { a: {} } } as unknown as Input; // what types would not let through
  expect((await server.send(START_IMPORT, { input: nested })).errors).toHaveLength(1);
  expect(await rows.all('select from idempotency_keys where key = $1', [idempotencyKey])).toEqual([]);
  expect((await start(given)).counts.found).toBe(3);
});

test('the same key of another team is another key', async () => {
  const own = await start(input());
  const { key } = await insertTeam(rows, 'Other team');
  const theirs = await call(input(), createTestClient({ url: server.url, key }));
  if (theirs.__typename !== 'StartImportSuccess') throw new Error(`${theirs.__typename}`);
  expect(theirs.import.id).not.toBe(own.id);
  expect((await firstTeam(rows, server.key)).key).not.toBe(key);
});

test('a call repeated after what it names was deleted answers with what the first one made', async () => {
  const { id: indexId } = await rows.one<{ id: string }>(
    `insert into indexes (id, team_id, name) select gen_random_uuid(), team_id, 'Short-lived' from indexes where is_default limit 1 returning id`,
  );
  const given = input({ indexId: `idx_${indexId}` });
  const first = await server.query(START_IMPORT, { input: given });
  if (first.startImport.__typename !== 'StartImportSuccess') throw new Error(first.startImport.__typename);
  const { id } = first.startImport.import;
  // Who plans it locks in another order than what follows here.
  await untilFinished(id);
  await rows.all('delete from tasks where index_id = $1', [indexId]);
  await rows.all('delete from indexes where id = $1', [indexId]);
  expect((await server.query(START_IMPORT, { input: given })).startImport).toMatchObject({ import: { id } });
  // Neither another input nor another key is the first call.
  for (const other of [
    { ...given, incremental: false },
    { ...given, idempotencyKey: randomUUID() },
  ])
    expect((await server.query(START_IMPORT, { input: other })).startImport.__typename).toBe('NotFoundError');
});
