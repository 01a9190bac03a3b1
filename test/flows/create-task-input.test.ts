import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestClient } from '../support/client.ts';
import { insertTeam, openRows, type Rows } from '../support/rows.ts';
import { type S3Double, startS3 } from '../support/s3.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { type CreateInput, createTaskCreator, type TaskCreator } from './created-tasks.ts';
import { type FileOrigin, makeContents, startFileOrigin } from './file-origin.ts';
import {
  allOf,
  bucketAt,
  createObjectImporter,
  type ObjectImporter,
  type ObjectTask,
} from './object-imports.ts';
import { countAllRows, countRowsAtRest } from './stored-rows.ts';
import { lasting } from './url-imports.ts';

let s3: S3Double;
let origin: FileOrigin;
let server: TestServer;
let rows: Rows;
let importer: ObjectImporter;
let creator: TaskCreator;
let freshContent: () => Buffer;
let integration: string;

beforeAll(async () => {
  freshContent = await makeContents();
  origin = await startFileOrigin();
  s3 = await startS3();
  s3.createBucket('library');
  server = await startTestServer();
  importer = createObjectImporter(server);
  creator = createTaskCreator(server);
  rows = await openRows(server.databaseUrl);
  integration = await importer.integrate(bucketAt(s3, 'library'));
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
  await s3?.stop();
  await origin?.close();
});

/** Stores an object. @returns how a task names it */
function put(key: string, bytes: Uint8Array = freshContent()): CreateInput['from'] {
  s3.put('library', key, bytes);
  return of(key);
}

const of = (key: string): CreateInput['from'] => ({ object: { integrationId: integration, key } });

describe('the idempotency key', () => {
  test('gives the same task for the same input, and a conflict for another', async () => {
    const from = put('once.mp4');
    const input = { from, idempotencyKey: 'once' };
    const task = await creator.create(input);
    const [end] = (await creator.follow(task)).slice(-1);
    expect(await creator.create({ ...input, incremental: true })).toEqual({
      ...end,
      video: lasting(end?.video),
    });
    for (const other of [{ name: 'Another' }, { incremental: false }, { from: of('missing.mp4') }]) {
      expect(await creator.ask({ ...input, ...other })).toMatchObject({
        __typename: 'IdempotencyConflictError',
      });
    }
    expect(
      await rows.one('select count(*)::int as tasks from tasks where source_key = $1', ['once.mp4']),
    ).toEqual({ tasks: 1 });
  });

  test('gives one task to twenty calls at once', async () => {
    const from = put('twenty.mp4');
    const made = await Promise.all(
      Array.from({ length: 20 }, () => creator.create({ from, idempotencyKey: 'twenty' })),
    );
    expect(new Set(made.map(({ id }) => id)).size).toBe(1);
    expect(
      await rows.one('select count(*)::int as tasks from tasks where source_key = $1', ['twenty.mp4']),
    ).toEqual({ tasks: 1 });
    expect((await creator.follow(made[0] as ObjectTask)).at(-1)).toMatchObject({ status: 'READY' });
  });

  test('is not shared with imports of another input', async () => {
    put('shared.mp4');
    const { id } = await importer.start(allOf(integration, { prefix: 'shared', idempotencyKey: 'shared' }));
    expect(await creator.ask({ from: of('shared.mp4'), idempotencyKey: 'shared' })).toMatchObject({
      __typename: 'IdempotencyConflictError',
    });
    await importer.end(id);
  });
});

describe('the file name that is left out is', () => {
  test.each([
    ['the last segment of the path, decoded', '/a%20b/c%20d%2B.mp4?token=1', 'c d+.mp4'],
    ['the last segment that is not empty', '/folder/film.mp4//', 'film.mp4'],
    ['as it is, where it cannot be decoded', '/100%.mp4', '100%.mp4'],
    ['the host, where there is no path', '', '127.0.0.1'],
  ])('that of a URL: %s', async (_, path, fileName) => {
    const task = await creator.create({ from: { url: new URL(origin.missing).origin + path } });
    expect(task).toMatchObject({ fileName, name: fileName });
    await creator.follow(task);
  });

  test.each([
    ['the last segment of the key, as it is', 'a%20b/c%20d+.mp4', 'c%20d+.mp4'],
    ['that of a key that ends in a slash', 'a/b.mp4/', 'b.mp4'],
    ['the end of one that is too long', 'é'.repeat(400), 'é'.repeat(255)],
  ])('that of an object: %s', async (_, key, fileName) => {
    const task = await creator.create({ from: of(key) });
    expect(task).toMatchObject({ fileName, name: fileName });
    await creator.follow(task);
  });

  test('not taken where one is given; a name is taken as it is', async () => {
    const named = { fileName: 'mine.mp4', name: 'Mine' };
    const task = await creator.create({ from: of('missing.mp4'), ...named });
    expect(task).toMatchObject(named);
    await creator.follow(task);
  });
});

describe('is refused, and nothing is stored:', () => {
  const wrong: readonly [string, () => CreateInput, readonly string[], string][] = [
    ['a key without a byte', () => ({ from: of('') }), ['from', 'object', 'key'], 'TOO_SHORT'],
    [
      'a key of 1,025 bytes',
      () => ({ from: of(`${'é'.repeat(512)}a`) }),
      ['from', 'object', 'key'],
      'TOO_LONG',
    ],
    ['a URL of a file', () => ({ from: { url: 'file:///etc/passwd' } }), ['from', 'url'], 'INVALID'],
    ['a long name', () => ({ from: of('a'), name: 'n'.repeat(256) }), ['name'], 'TOO_LONG'],
    ['a SHA-256 that is none', () => ({ from: of('a'), sha256: 'abc' }), ['sha256'], 'INVALID'],
  ];
  test.each(wrong)('%s', async (_, input, path, code) => {
    const before = await countRowsAtRest(rows);
    expect(await creator.ask(input())).toMatchObject({
      __typename: 'InvalidInputError',
      issues: [{ path: ['input', ...path], code }],
    });
    expect(await countAllRows(rows)).toEqual(before);
  });

  test("another team's integration", async () => {
    const { key } = await insertTeam(rows, 'Others');
    const before = await countRowsAtRest(rows);
    const others = createTaskCreator(createTestClient({ url: server.url, key }));
    expect(await others.ask({ from: put('mine.mp4'), idempotencyKey: 'mine' })).toMatchObject({
      __typename: 'NotFoundError',
      path: ['input', 'from', 'object', 'integrationId'],
    });
    expect(await countAllRows(rows)).toEqual(before);
  });
});
