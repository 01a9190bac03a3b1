import { appendFile, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fromPublicId } from '../../src/services/public-ids.ts';
import { graphql } from '../support/graphql.ts';
import { insertTeam, openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { createTaskCreator, type TaskCreator } from './created-tasks.ts';
import { makeContents, sha256 } from './file-origin.ts';
import type { ObjectTask } from './object-imports.ts';
import { createTusClient, idOf, type TusClient } from './tus-client.ts';

const START = graphql(`
  mutation UploadStart($input: StartImportInput!) {
    startImport(input: $input) {
      __typename
      ... on Error { message }
      ... on InvalidInputError { issues { path code } }
      ... on NotFoundError { path }
      ... on StartImportSuccess { import { id } }
    }
  }
`);
const LOOK = graphql(`
  query UploadImport($id: ID!) {
    import(id: $id) {
      state finished error { code }
      progress { bytesDone bytesTotal }
      tasks(first: 20) {
        nodes { id externalId status outcome waitingFor skipReason error { code } progress { fraction bytesDone bytesTotal } video { sha256 name } }
      }
      failedFiles(first: 20) { nodes { externalId error { code } } }
    }
  }
`);
const IMPORT_PLAN = graphql(`
  query UploadPlan($input: StartImportInput!) {
    importPlan(input: $input) {
      __typename
      ... on InvalidInputError { issues { path code } }
      ... on ImportPlanSuccess { plan { acceptedCount rejectedCount bytesTotal accepted { size width } } }
    }
  }
`);
const CANCEL = graphql(`mutation UploadCancel($id: ID!) { cancelTask(id: $id) { __typename } }`);
const RETRY = graphql(`
  mutation UploadRetry($id: ID!) {
    retryTask(id: $id) { __typename ... on RetryTaskSuccess { task { status waitingFor } } }
  }
`);
const DELETE = graphql(`mutation UploadDelete($id: ID!) { deleteTask(id: $id) { __typename } }`);
const TASK = graphql(`
  query UploadTask($id: ID!) {
    task(id: $id) { status waitingFor error { code } progress { fraction bytesDone bytesTotal } stages { name state fraction } }
  }
`);

let server: TestServer;
let rows: Rows;
let tus: TusClient;
let creator: TaskCreator;
let freshContent: () => Buffer;

beforeAll(async () => {
  freshContent = await makeContents();
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  tus = createTusClient(server);
  creator = createTaskCreator(server);
});
afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

const media = (...path: string[]) => join(server.dataDir, 'media', ...path);
const rowIdOf = (path: string) => fromPublicId('Upload', idOf(path)) ?? '';
const fileOf = (path: string) => media('uploads', rowIdOf(path), 'original');
const videoOf = (path: string, externalId: string, more: object = {}) => ({
  externalId,
  uploadId: idOf(path),
  fileName: `${externalId}.mp4`,
  ...more,
});
const inputOf = (...videos: readonly ReturnType<typeof videoOf>[]) => ({
  from: { videos: { systemName: 'uploads', videos: [...videos] } },
});

async function start(...videos: readonly ReturnType<typeof videoOf>[]): Promise<string> {
  const { startImport } = await server.query(START, { input: inputOf(...videos) });
  if (startImport.__typename !== 'StartImportSuccess') throw new Error(JSON.stringify(startImport));
  return startImport.import.id;
}

async function look(id: string) {
  const { import: found } = await server.query(LOOK, { id });
  if (!found) throw new Error('the import is gone');
  return found;
}

const end = (id: string) =>
  waitFor(async () => ((await look(id)).finished ? await look(id) : null), {
    what: 'the end of the import',
    timeout: 60_000,
  });

test('complete uploads are judged at once, moved and not copied, and given up once', async () => {
  const bytes = freshContent();
  const [good, broken, empty] = [
    await tus.bring(bytes),
    await tus.bring(Buffer.from('this is no video')),
    await tus.begin(0),
  ];
  const { ino } = await stat(fileOf(good));
  const { importPlan } = await server.query(IMPORT_PLAN, {
    input: inputOf(videoOf(good, 'a'), videoOf(broken, 'b')),
  });
  expect(importPlan).toMatchObject({
    plan: {
      acceptedCount: 1,
      rejectedCount: 1,
      bytesTotal: bytes.length,
      accepted: [{ size: bytes.length, width: expect.any(Number) }],
    },
  });
  const id = await start(
    videoOf(good, 'good', { name: 'Good' }),
    videoOf(broken, 'broken'),
    videoOf(empty, 'empty'),
  );
  expect(await end(id)).toMatchObject({
    state: 'SUCCEEDED',
    tasks: {
      nodes: [
        {
          externalId: 'good',
          status: 'READY',
          outcome: 'CREATED',
          video: { sha256: sha256(bytes), name: 'Good' },
        },
      ],
    },
    failedFiles: {
      nodes: [
        { externalId: 'broken', error: { code: 'UNSUPPORTED_MEDIA_TYPE' } },
        { externalId: 'empty', error: { code: 'VIDEO_FILE_BROKEN' } },
      ],
    },
  });
  const { storage_key } = await rows.one<{ storage_key: string }>(
    'select storage_key from videos where sha256 = $1',
    [sha256(bytes)],
  );
  expect((await stat(media(storage_key))).ino).toBe(ino);
  await waitFor(async () => !(await readdir(media())).includes('uploads'), {
    what: 'what is left of the uploads to go',
  });
  expect((await stat(media(storage_key))).ino).toBe(ino);
  // Its client is told that all came, should it ask again.
  expect(await tus.offset(good)).toBe(bytes.length);
  const { startImport } = await server.query(START, { input: inputOf(videoOf(good, 'again')) });
  expect(startImport).toMatchObject({
    __typename: 'InvalidInputError',
    issues: [{ path: ['input', 'from', 'videos', 'videos', '0', 'uploadId'], code: 'DUPLICATE' }],
  });
});

test('a task may be made before its upload is complete, shows how far that is, and begins when it is', async () => {
  const bytes = freshContent();
  const path = await tus.begin(bytes.length, { filename: 'dir/holiday.mp4' });
  const task = await creator.create({ from: { uploadId: idOf(path) }, sha256: sha256(bytes) });
  expect(task).toMatchObject({
    status: 'PENDING',
    waitingFor: 'UPLOAD',
    fileName: 'holiday.mp4',
    sourceKey: null,
  });
  const told: ObjectTask[] = [];
  const watched = creator.follow(task, told);
  const half = Math.floor(bytes.length / 2);
  await tus.patch(path, 0, bytes.subarray(0, half));
  const { task: waiting } = await server.query(TASK, { id: task.id });
  expect(waiting).toMatchObject({
    status: 'PENDING',
    waitingFor: 'UPLOAD',
    progress: { bytesDone: half, bytesTotal: bytes.length },
    stages: [{ name: 'UPLOAD', state: 'RUNNING' }, { state: 'WAITING' }],
  });
  expect(waiting?.progress.fraction).toBeCloseTo((0.81 * half) / bytes.length);
  // What changes soon again is told as it is by then.
  await waitFor(() => told.some(({ progress }) => progress.bytesDone === half), { what: 'the half' });
  await tus.patch(path, half, bytes.subarray(half));
  const states = await watched;
  expect(states.at(-1)).toMatchObject({ status: 'READY', attempts: 1, video: { sha256: sha256(bytes) } });
  const fractions = states.map(({ progress }) => progress.fraction);
  expect(fractions.toSorted((a, b) => a - b)).toEqual(fractions);
  expect(
    states.some(({ waitingFor, progress }) => waitingFor === 'UPLOAD' && progress.bytesDone === half),
  ).toBe(true);
});

test('an import may begin before its uploads are complete', async () => {
  const [one, other] = [freshContent(), freshContent()];
  const paths = [await tus.begin(one.length), await tus.begin(other.length)];
  const id = await start(
    videoOf(paths[0] ?? '', 'one'),
    videoOf(paths[1] ?? '', 'other', { sha256: 'ab'.repeat(32) }),
  );
  const waiting = await waitFor(async () => {
    const now = await look(id);
    // Counts of a running import may be a second old.
    return now.state === 'STARTED' && now.progress.bytesTotal === one.length + other.length && now;
  });
  expect(waiting.tasks.nodes.map(({ status, waitingFor }) => [status, waitingFor])).toEqual([
    ['PENDING', 'UPLOAD'],
    ['PENDING', 'UPLOAD'],
  ]);
  expect(waiting.progress.bytesTotal).toBe(one.length + other.length);
  await tus.patch(paths[0] ?? '', 0, one);
  await tus.patch(paths[1] ?? '', 0, other);
  expect((await end(id)).tasks.nodes).toMatchObject([
    { status: 'READY', video: { sha256: sha256(one) } },
    { status: 'FAILED', error: { code: 'CHECKSUM_MISMATCH' } },
  ]);
});

test('an upload is for one video, whoever comes first', async () => {
  const path = await tus.begin(100);
  const asked = await Promise.all([1, 2, 3].map(() => creator.ask({ from: { uploadId: idOf(path) } })));
  expect(asked.map(({ __typename }) => __typename).sort()).toEqual([
    'CreateTaskSuccess',
    'InvalidInputError',
    'InvalidInputError',
  ]);
  expect(asked.find(({ __typename }) => __typename === 'InvalidInputError')).toMatchObject({
    issues: [{ path: ['input', 'from', 'uploadId'], code: 'DUPLICATE' }],
  });
  // A call that is repeated makes nothing new.
  const again = await tus.begin(100);
  const input = { from: { uploadId: idOf(again) }, idempotencyKey: 'once' };
  expect(await creator.create(input)).toMatchObject({ id: (await creator.create(input)).id });
});

test('a task that was canceled while it waited may be tried again', async () => {
  const bytes = freshContent();
  const path = await tus.begin(bytes.length);
  const { id } = await creator.create({ from: { uploadId: idOf(path) } });
  await server.query(CANCEL, { id });
  await tus.patch(path, 0, bytes.subarray(0, 1000));
  expect(await server.query(RETRY, { id })).toMatchObject({
    retryTask: { task: { status: 'PENDING', waitingFor: 'UPLOAD' } },
  });
  await tus.patch(path, 1000, bytes.subarray(1000));
  expect((await creator.follow({ id })).at(-1)).toMatchObject({
    status: 'READY',
    video: { sha256: sha256(bytes) },
  });
});

test('a transfer that was killed after it had moved the bytes is found where it left them', async () => {
  const bytes = freshContent();
  const path = await tus.begin(bytes.length);
  const task = await creator.create({ from: { uploadId: idOf(path) } });
  const { team_id } = await rows.one<{ team_id: string }>('select team_id from uploads where id = $1', [
    rowIdOf(path),
  ]);
  const folder = media('teams', team_id, 'tasks', fromPublicId('Task', task.id) ?? '', '1');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'original'), bytes);
  await rm(media('uploads', rowIdOf(path)), { recursive: true });
  await rows.all('update uploads set completed_at = now() where id = $1', [rowIdOf(path)]);
  expect((await creator.follow(task)).at(-1)).toMatchObject({
    status: 'READY',
    video: { sha256: sha256(bytes) },
  });
});

test('a task that failed after its upload was moved may be tried again; deleted, it takes the bytes with it', async () => {
  const limit = (seconds: string) => rows.all(`update teams set max_seconds = ${seconds}`);
  await limit(`0.1 + (select coalesce(sum((system_metadata ->> 'duration')::float8), 0) from videos)`);
  const failed = [];
  for (const bytes of [freshContent(), freshContent()]) {
    const task = await creator.create({ from: { uploadId: idOf(await tus.bring(bytes)) } });
    const over = (await creator.follow(task)).at(-1);
    expect(over).toMatchObject({ status: 'FAILED', error: { code: 'USAGE_LIMIT_EXCEEDED' } });
    failed.push({ task, bytes });
  }
  await limit('null');
  const [again, deleted] = failed;
  if (!again || !deleted) throw new Error('there were two');
  expect((await server.query(RETRY, { id: again.task.id })).retryTask.__typename).toBe('RetryTaskSuccess');
  expect((await creator.follow(again.task)).at(-1)).toMatchObject({
    status: 'READY',
    video: { sha256: sha256(again.bytes) },
  });
  const { team_id } = await rows.one<{ team_id: string }>('select team_id from tasks limit 1');
  const folder = media('teams', team_id, 'tasks', fromPublicId('Task', deleted.task.id) ?? '');
  expect(await readdir(folder)).toHaveLength(1);
  await server.query(DELETE, { id: deleted.task.id });
  await waitFor(
    () =>
      stat(folder).then(
        () => false,
        () => true,
      ),
    { what: 'the end of its bytes' },
  );
});

test('what housekeeping sees to: an upload that expired, and one whose last byte was stored by a process that died', async () => {
  const bytes = freshContent();
  const [late, dead] = [await tus.begin(bytes.length), await tus.begin(bytes.length)];
  const [expired, forgotten] = [
    await start(videoOf(late, 'late')),
    await creator.create({ from: { uploadId: idOf(dead) }, name: 'dead' }),
  ];
  await tus.patch(late, 0, bytes.subarray(0, 10));
  await tus.patch(dead, 0, bytes.subarray(0, bytes.length - 1));
  // As if it had been killed between its last write and the statement behind that.
  await rows.all(
    "update uploads set locked_by = gen_random_uuid(), locked_until = now() - interval '1 second' where id = $1",
    [rowIdOf(dead)],
  );
  await appendFile(fileOf(dead), bytes.subarray(bytes.length - 1));
  await rows.all("update uploads set expires_at = now() - interval '1 second' where id = $1", [
    rowIdOf(late),
  ]);
  expect((await creator.follow(forgotten)).at(-1)).toMatchObject({
    status: 'READY',
    video: { sha256: sha256(bytes) },
  });
  expect(await end(expired)).toMatchObject({
    state: 'FAILED',
    error: { code: 'NOTHING_CAME_IN' },
    tasks: { nodes: [{ status: 'FAILED', error: { code: 'UPLOAD_EXPIRED' } }] },
  });
  const [failed] = (await look(expired)).tasks.nodes;
  await server.query(RETRY, { id: failed?.id ?? '' });
  expect((await end(expired)).tasks.nodes).toMatchObject([
    { status: 'FAILED', error: { code: 'UPLOAD_EXPIRED' } },
  ]);
  expect(await creator.ask({ from: { uploadId: idOf(late) } })).toMatchObject({
    __typename: 'InvalidInputError',
  });
  // Two rounds of it are up to fifteen seconds each.
});

test('a URL or an upload, not both and not neither; an upload that is not theirs is unknown to others', async () => {
  const ask = async (video: object) =>
    (await server.query(START, { input: inputOf({ externalId: 'x', fileName: 'x.mp4', ...video } as never) }))
      .startImport;
  const path = await tus.begin(10);
  const at = ['input', 'from', 'videos', 'videos', '0'];
  expect(await ask({})).toMatchObject({ issues: [{ path: [...at, 'url'], code: 'REQUIRED' }] });
  expect(await ask({ url: 'https://a.example/b.mp4', uploadId: idOf(path) })).toMatchObject({
    issues: [{ path: [...at, 'uploadId'], code: 'INVALID' }],
  });
  const other = await insertTeam(rows, 'Others');
  const foreign = await createTusClient({ url: server.url, key: other.key }).begin(10);
  for (const uploadId of ['upl_00000000-0000-4000-8000-000000000000', 'nonsense', idOf(foreign)])
    expect(await ask({ uploadId })).toMatchObject({ __typename: 'NotFoundError', path: [...at, 'uploadId'] });
  const twice = await server.query(START, { input: inputOf(videoOf(path, 'a'), videoOf(path, 'b')) });
  expect(twice.startImport).toMatchObject({ issues: [{ code: 'DUPLICATE' }] });
  expect(await creator.ask({ from: { uploadId: idOf(foreign) } })).toMatchObject({
    path: ['input', 'from', 'uploadId'],
  });
});
