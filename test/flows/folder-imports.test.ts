import { execFileSync } from 'node:child_process';
import { link, mkdir, mkdtemp, readFile, realpath, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createTestClient } from '../support/client.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { serverSettings, TEST_KEY } from '../support/server.ts';
import { makeContents, sha256 } from './file-origin.ts';
import { allOf, at, type Brought, createObjectImporter, type ObjectImporter } from './object-imports.ts';
import { countAllRows, countRowsAtRest } from './stored-rows.ts';

/** Videos that an import finds, at paths of every kind. */
const CLIPS = [
  'top.mp4',
  '.hidden.mp4',
  '.hidden/in a hidden folder.mp4',
  'deep/er/deepest.mp4',
  'naïve/日本語 🎬.mp4',
  'a+b%2Fc.mp4',
  'new\nline.mp4',
];

/** A program of every system that has pipes. */
const MAKE_PIPE = 'mkfifo';

let folder: string;
let videos: string;
let database: TestDatabase;
let rows: Rows;
let app: App;
let importer: ObjectImporter;
let freshContent: () => Buffer;
let integration: string;
let first: Brought;
const clips = new Map<string, Buffer>();

beforeAll(async () => {
  freshContent = await makeContents();
  folder = await realpath(await mkdtemp(join(tmpdir(), 'sluice-folders-')));
  videos = join(folder, 'allowed', 'videos');
  await fillFolder();
  database = await createTestDatabase();
  rows = await openRows(database.url);
  await start(join(folder, 'allowed'));
  integration = await importer.integrate({ folder: { path: videos } });
});

afterAll(async () => {
  await app?.stop();
  await rows?.close();
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

/** A server on the one database, which may be stopped and started with other settings. */
async function start(allowFolders: string): Promise<void> {
  const config = readConfig(
    serverSettings({
      databaseUrl: database.url,
      dataDir: join(folder, 'data'),
      SLUICE_ALLOW_FOLDERS: allowFolders,
      SLUICE_PLAN_SECONDS: '20',
    }),
  );
  app = await startApp(config, pino({ level: config.logLevel }, pino.destination(2)));
  importer = createObjectImporter(createTestClient({ url: app.url, key: TEST_KEY }));
}

const pathOf = (key: string) => join(videos, key);

async function put(key: string, bytes: Buffer, seconds = 1_700_000_000): Promise<void> {
  await mkdir(dirname(pathOf(key)), { recursive: true });
  await writeFile(pathOf(key), bytes);
  await utimes(pathOf(key), seconds, seconds);
}

async function fillFolder(): Promise<void> {
  const outside = join(folder, 'outside');
  await mkdir(outside);
  for (const name of ['secret.mp4', 'hard.mp4']) await writeFile(join(outside, name), freshContent());
  for (const key of CLIPS) {
    const bytes = freshContent();
    clips.set(key, bytes);
    await put(key, bytes);
  }
  await put('notes.txt', Buffer.from('no video'));
  await put('empty.mp4', Buffer.alloc(0));
  await symlink(pathOf('deep/er/deepest.mp4'), pathOf('link-in.mp4'));
  await symlink(join(outside, 'secret.mp4'), pathOf('link-out.mp4'));
  await symlink(join(outside, 'nothing.mp4'), pathOf('link-nowhere.mp4'));
  await symlink(outside, pathOf('linked-folder'));
  await symlink(pathOf('deep'), pathOf('linked-inside'));
  await link(join(outside, 'hard.mp4'), pathOf('hard.mp4'));
  execFileSync(MAKE_PIPE, [pathOf('pipe.mp4')]);
  await writeFile(Buffer.concat([Buffer.from(`${videos}/no-utf8-`), Buffer.from([0xff])]), 'x');
}

test('a folder with all below it: what is a video comes in, and nothing that lies elsewhere', async () => {
  first = await importer.bring(allOf(integration));
  const { state, tasks, failed } = first;
  expect(state).toMatchObject({ state: 'SUCCEEDED', error: null, counts: { ready: 7, skipped: 1 } });
  for (const key of CLIPS) {
    if (key.endsWith('deepest.mp4')) continue;
    const bytes = clips.get(key) ?? Buffer.alloc(0);
    expect(at(tasks, key)).toMatchObject({ outcome: 'CREATED', video: { sha256: sha256(bytes) } });
  }
  // A link within the folder is the same content at another path.
  const linked = [at(tasks, 'link-in.mp4'), at(tasks, 'deep/er/deepest.mp4')];
  expect(linked.map(({ skipReason }) => skipReason).sort()).toEqual(['SAME_CONTENT', null].sort());
  expect(linked[0]?.videoId).toBe(linked[1]?.videoId);
  expect(at(tasks, 'naïve/日本語 🎬.mp4')).toMatchObject({ fileName: '日本語 🎬.mp4' });
  expect(tasks.size).toBe(8);

  const errors = Object.fromEntries([...failed].map(([key, { error }]) => [key, error.code]));
  const nameless = Object.keys(errors).find((key) => key.includes('no-utf8-')) ?? '';
  expect(errors).toEqual({
    'notes.txt': 'UNSUPPORTED_MEDIA_TYPE',
    'empty.mp4': 'VIDEO_FILE_BROKEN',
    'link-out.mp4': 'SOURCE_NOT_AUTHORIZED',
    'link-nowhere.mp4': 'SOURCE_NOT_FOUND',
    'linked-folder': 'SOURCE_NOT_AUTHORIZED',
    'linked-inside': 'SOURCE_NOT_AUTHORIZED',
    'hard.mp4': 'SOURCE_NOT_AUTHORIZED',
    'pipe.mp4': 'UNSUPPORTED_MEDIA_TYPE',
    [nameless]: 'SOURCE_NOT_FOUND',
  });
  expect(JSON.stringify([...failed.values()])).not.toContain('outside/');
});

test('a second import skips what came in, and reads none of it', async () => {
  // Whoever reads them now finds no videos any more.
  for (const [key, bytes] of clips) await put(key, Buffer.alloc(bytes.length, 'x'));
  const { state, tasks } = await importer.bring(allOf(integration));
  expect(state.counts).toMatchObject({ ready: 0, skipped: 8, failed: 0, rejected: 9 });
  for (const key of CLIPS) {
    expect(at(tasks, key)).toMatchObject({
      skipReason: 'SAME_CONTENT',
      attempts: 0,
      videoId: at(first.tasks, key).videoId,
    });
  }
  for (const [key, bytes] of clips) await put(key, bytes);
});

test('a file that was touched is read, and turns out to be the same; then it is known again', async () => {
  const bytes = clips.get('top.mp4') ?? Buffer.alloc(0);
  await put('top.mp4', bytes, 1_700_000_100);
  for (const attempts of [1, 0]) {
    const { tasks } = await importer.bring(allOf(integration, { prefix: 'top' }));
    expect([...tasks.keys()]).toEqual(['top.mp4']);
    expect(at(tasks, 'top.mp4')).toMatchObject({
      skipReason: 'SAME_CONTENT',
      attempts,
      videoId: at(first.tasks, 'top.mp4').videoId,
    });
  }
});

test('a file that was changed comes in as a new video', async () => {
  const bytes = freshContent();
  await put('top.mp4', bytes, 1_700_000_200);
  const { tasks } = await importer.bring(allOf(integration, { prefix: 'top' }));
  expect(at(tasks, 'top.mp4')).toMatchObject({ outcome: 'CREATED', video: { sha256: sha256(bytes) } });
  expect(at(tasks, 'top.mp4').videoId).not.toBe(at(first.tasks, 'top.mp4').videoId);
});

test('what is served is what lay there', async () => {
  const { video } = at(first.tasks, 'naïve/日本語 🎬.mp4');
  const served = await fetch(video?.originalUrl ?? '');
  expect(sha256(await served.bytes())).toBe(sha256(await readFile(pathOf('naïve/日本語 🎬.mp4'))));
});

test('paths that are named lead nowhere else either', async () => {
  const keys = [
    '../../outside/secret.mp4',
    'deep/../../../outside/secret.mp4',
    join(folder, 'outside', 'secret.mp4'),
    'link-out.mp4',
    'linked-folder/secret.mp4',
    'hard.mp4',
    'pipe.mp4',
    '.',
    'deep',
  ];
  const objects = keys.map((key) => ({ key }));
  const { state, failed } = await importer.bring({
    from: { objects: { integrationId: integration, objects } },
  });
  expect(state).toMatchObject({ state: 'FAILED', counts: { rejected: keys.length } });
  for (const key of keys)
    expect(at(failed, key).error.code).toMatch(/^(SOURCE_NOT_(FOUND|AUTHORIZED)|UNSUPPORTED_MEDIA_TYPE)$/);
});

test('a folder that the operator allows no more is told at once, and nothing is stored', async () => {
  await app.stop();
  await start(join(folder, 'outside'));
  const before = await countRowsAtRest(rows);
  const result = await importer.ask(allOf(integration, { idempotencyKey: 'allowed again' }));
  expect(result).toMatchObject({ __typename: 'SourceUnavailableError', code: 'SOURCE_NOT_AUTHORIZED' });
  expect(JSON.stringify(result)).toContain('SLUICE_ALLOW_FOLDERS');
  expect(await countAllRows(rows)).toEqual(before);
  const named = { integrationId: integration, objects: [{ key: 'top.mp4' }] };
  const { failed } = await importer.bring({ from: { objects: named } });
  expect(at(failed, 'top.mp4').error.code).toBe('SOURCE_NOT_AUTHORIZED');

  await app.stop();
  await start(join(folder, 'allowed'));
  const input = allOf(integration, { idempotencyKey: 'allowed again' });
  expect((await importer.bring(input)).state.counts).toMatchObject({ skipped: 8 });
});
