import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestClient } from '../support/client.ts';
import { insertTeam, openRows, type Rows } from '../support/rows.ts';
import { type S3Double, startS3 } from '../support/s3.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { makeContents, sha256 } from './file-origin.ts';
import {
  at,
  bucketAt,
  createObjectImporter,
  isGet,
  type ObjectImporter,
  type StartInput,
} from './object-imports.ts';
import { countAllRows, countRowsAtRest } from './stored-rows.ts';

type ObjectInput = Extract<StartInput['from'], { objects: unknown }>['objects']['objects'][number];

let s3: S3Double;
let server: TestServer;
let rows: Rows;
let importer: ObjectImporter;
let freshContent: () => Buffer;
let integration: string;

beforeAll(async () => {
  freshContent = await makeContents();
  s3 = await startS3();
  s3.createBucket('library');
  server = await startTestServer({ SLUICE_PLAN_SECONDS: '20' });
  importer = createObjectImporter(server);
  rows = await openRows(server.databaseUrl);
  integration = await importer.integrate(bucketAt(s3, 'library'));
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
  await s3?.stop();
});

function put(key: string): string {
  const bytes = freshContent();
  s3.put('library', key, bytes);
  return sha256(bytes);
}

const of = (objects: readonly ObjectInput[], options: Partial<StartInput> = {}): StartInput => ({
  from: { objects: { integrationId: integration, objects: [...objects] } },
  ...options,
});

test('what an object is given is what its video has; what is left out follows from its key', async () => {
  const keys = ['shows/one.mp4', 'shows/+ two%20.mp4', 'é'.repeat(512)];
  const sums = keys.map(put);
  s3.requests.length = 0;
  const [given = '', plain = '', long = ''] = keys;
  const { state, tasks } = await importer.bring(
    of(
      [
        {
          key: given,
          name: 'The first',
          description: 'd'.repeat(511),
          fileName: 'first.mp4',
          metadata: { season: 2, pilot: true },
        },
        { key: plain, description: '' },
        { key: long, name: 'n'.repeat(255) },
      ],
      { metadata: { season: 1, show: 'All' } },
    ),
  );
  expect(state).toMatchObject({
    state: 'SUCCEEDED',
    hasFailures: false,
    integration: { id: integration },
    counts: { found: 3, ready: 3 },
  });
  expect([...tasks.keys()]).toEqual(keys);
  const first = { name: 'The first', fileName: 'first.mp4' };
  expect(at(tasks, given)).toMatchObject({
    ...first,
    metadata: { season: 2, pilot: true, show: 'All' },
    video: { ...first, description: 'd'.repeat(511), metadata: { season: 2, pilot: true, show: 'All' } },
  });
  const named = { name: '+ two%20.mp4', fileName: '+ two%20.mp4' };
  expect(at(tasks, plain)).toMatchObject({ ...named, video: { ...named, description: '' } });
  expect(at(tasks, plain).metadata).toEqual({ season: 1, show: 'All' });
  expect(at(tasks, long)).toMatchObject({
    name: 'n'.repeat(255),
    fileName: 'é'.repeat(255),
    video: { description: null },
  });
  expect(keys.map((key) => at(tasks, key).video?.sha256)).toEqual(sums);
  // Nothing of the bucket is listed for them.
  expect(s3.requests.every(isGet)).toBe(true);
});

test('an object that is not there, or stands twice in the request, is a failed file', async () => {
  put('there.mp4');
  const { state, tasks, failed } = await importer.bring(
    of([{ key: 'there.mp4' }, { key: 'missing.mp4', name: 'Missing' }, { key: 'there.mp4', name: 'Again' }]),
  );
  expect(state).toMatchObject({ state: 'SUCCEEDED', hasFailures: true, counts: { ready: 1, rejected: 2 } });
  expect(at(tasks, 'there.mp4')).toMatchObject({ status: 'READY', name: 'there.mp4' });
  expect(at(failed, 'missing.mp4')).toMatchObject({
    name: 'Missing',
    fileName: 'missing.mp4',
    error: { code: 'SOURCE_NOT_FOUND' },
  });
  expect(at(failed, 'there.mp4')).toMatchObject({
    name: 'Again',
    error: { code: 'DUPLICATE_IN_REQUEST' },
  });
});

test('objects that are unchanged are SKIPPED, each time that they are named', async () => {
  put('again.mp4');
  const first = await importer.bring(of([{ key: 'again.mp4' }]));
  s3.requests.length = 0;
  const second = await importer.bring(of([{ key: 'again.mp4', name: 'Another name' }]));
  expect(at(second.tasks, 'again.mp4')).toMatchObject({
    status: 'SKIPPED',
    skipReason: 'SAME_CONTENT',
    video: { id: at(first.tasks, 'again.mp4').videoId },
  });
  // One look, and not a byte.
  expect(s3.requests.map(({ status, bytesSent }) => [status, bytesSent])).toEqual([[304, 0]]);
});

describe('is refused as a whole, and nothing is stored:', () => {
  const wrong: readonly [string, () => StartInput, readonly string[], string][] = [
    ['a key without a byte', () => of([{ key: '' }]), ['objects', '0', 'key'], 'TOO_SHORT'],
    ['a key of 1,025 bytes', () => of([{ key: `${'é'.repeat(512)}a` }]), ['objects', '0', 'key'], 'TOO_LONG'],
    [
      'a key of 1,025 bytes that has 513 characters, behind good ones',
      () => of([{ key: 'a' }, { key: `a${'é'.repeat(512)}` }]),
      ['objects', '1', 'key'],
      'TOO_LONG',
    ],
    ['a key with U+0000', () => of([{ key: 'a\0b' }]), ['objects', '0', 'key'], 'INVALID'],
    [
      'a name of 256 characters',
      () => of([{ key: 'a', name: 'n'.repeat(256) }]),
      ['objects', '0', 'name'],
      'TOO_LONG',
    ],
    ['an empty name', () => of([{ key: 'a', name: '' }]), ['objects', '0', 'name'], 'TOO_SHORT'],
    [
      'a description of 512 characters',
      () => of([{ key: 'a', description: 'd'.repeat(512) }]),
      ['objects', '0', 'description'],
      'TOO_LONG',
    ],
    [
      'a file name of 256 characters',
      () => of([{ key: 'a', fileName: 'f'.repeat(256) }]),
      ['objects', '0', 'fileName'],
      'TOO_LONG',
    ],
    [
      'metadata under a reserved name',
      () => of([{ key: 'a', metadata: { duration: 1 } }]),
      ['objects', '0', 'metadata', 'duration'],
      'RESERVED_KEY',
    ],
    ['no objects', () => of([]), ['objects'], 'TOO_FEW'],
    [
      '10,001 objects',
      () => of(Array.from({ length: 10_001 }, (_, n) => ({ key: `${n}.mp4` }))),
      ['objects'],
      'TOO_MANY',
    ],
  ];
  test.each(wrong)('%s', async (_, input, path, code) => {
    const before = await countRowsAtRest(rows);
    expect(await importer.ask(input())).toMatchObject({
      __typename: 'InvalidInputError',
      issues: [{ path: ['input', 'from', 'objects', ...path], code }],
    });
    expect(await countAllRows(rows)).toEqual(before);
  });

  test("another team's integration, like one that is not there", async () => {
    const { key } = await insertTeam(rows, 'Others');
    const others = createObjectImporter(createTestClient({ url: server.url, key }));
    const before = await countRowsAtRest(rows);
    const path = ['input', 'from', 'objects', 'integrationId'];
    const denied = await others.ask(of([{ key: 'there.mp4' }]));
    expect(denied).toMatchObject({ __typename: 'NotFoundError', path });
    const id = 'int_00000000-0000-7000-8000-000000000000';
    const missing = { from: { objects: { integrationId: id, objects: [{ key: 'there.mp4' }] } } };
    expect(await others.ask(missing)).toEqual(denied);
    const listed = await others.ask({ from: { integration: { integrationId: integration } } });
    expect(listed).toMatchObject({
      __typename: 'NotFoundError',
      path: ['input', 'from', 'integration', 'integrationId'],
    });
    expect(await countAllRows(rows)).toEqual(before);
  });
});
