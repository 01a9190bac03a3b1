import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRows, type Rows } from '../support/rows.ts';
import { type S3Double, startS3 } from '../support/s3.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { type CreateInput, createTaskCreator, type TaskCreator } from './created-tasks.ts';
import { type FileOrigin, makeContents, sha256, startFileOrigin } from './file-origin.ts';
import {
  allOf,
  bucketAt,
  createObjectImporter,
  isGet,
  type ObjectImporter,
  scripted,
} from './object-imports.ts';
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

test('one video by its URL: a task without an import, followed to its end', async () => {
  const bytes = freshContent();
  const url = origin.put({ bytes }, 'film.mp4');
  const about = { name: 'A film', description: 'Of a kind', metadata: { part: 1 } };
  const task = await creator.create({ from: { url }, ...about, sha256: sha256(bytes).toUpperCase() });
  expect(task).toMatchObject({ import: null, externalId: null, sourceKey: null, fileName: 'film.mp4' });
  const states = await creator.follow(task);
  expect(states[0]?.id).toBe(task.id);
  expect(states.at(-1)).toMatchObject({
    id: task.id,
    videoId: task.videoId,
    status: 'READY',
    outcome: 'CREATED',
    import: null,
    metadata: { part: 1 },
    progress: { fraction: 1, bytesDone: bytes.length },
    video: { id: task.videoId, ...about, fileName: 'film.mp4', sha256: sha256(bytes) },
  });
  const end = states.at(-1);
  expect(await creator.follow(task)).toEqual([{ ...end, video: lasting(end?.video) }]);
});

test('one object: it comes in, and is not read again while it is unchanged', async () => {
  const bytes = freshContent();
  const from = put('folder/one.mp4', bytes);
  const created = await creator.bring({ from });
  expect(created).toMatchObject({
    status: 'READY',
    outcome: 'CREATED',
    sourceKey: 'folder/one.mp4',
    import: null,
    video: { sha256: sha256(bytes) },
  });

  s3.requests.length = 0;
  const again = await creator.bring({ from });
  expect(again).toMatchObject({
    status: 'SKIPPED',
    outcome: 'SKIPPED',
    skipReason: 'SAME_CONTENT',
    videoId: created.videoId,
    video: { id: created.videoId },
    progress: { fraction: 1, bytesDone: 0 },
  });
  expect(s3.requests.map(({ status, bytesSent }) => [status, bytesSent])).toEqual([[304, 0]]);

  const more = await creator.bring({ from, incremental: false });
  expect(more).toMatchObject({ outcome: 'CREATED', video: { sha256: sha256(bytes) } });
  expect(more.videoId).not.toBe(created.videoId);

  const newer = freshContent();
  const changed = await creator.bring({ from: put('folder/one.mp4', newer) });
  expect(changed).toMatchObject({ outcome: 'CREATED', video: { sha256: sha256(newer) } });
  expect([created.videoId, more.videoId]).not.toContain(changed.videoId);
});

test('what a task has brought in, an import of its integration knows; and the other way round', async () => {
  await creator.bring({ from: put('both/a.mp4') });
  put('both/b.mp4');
  s3.requests.length = 0;
  const { state } = await importer.bring(allOf(integration, { prefix: 'both/' }));
  expect(state.counts).toMatchObject({ found: 2, skipped: 1, ready: 1 });
  expect(s3.requests.filter((request) => isGet(request) && request.key === 'both/a.mp4')).toEqual([]);
  expect(await creator.bring({ from: of('both/b.mp4') })).toMatchObject({ skipReason: 'SAME_CONTENT' });
});

test('a content that is known by its SHA-256 needs no request at all', async () => {
  const bytes = freshContent();
  const { videoId } = await creator.bring({ from: put('known.mp4', bytes) });
  s3.requests.length = 0;
  const task = await creator.bring({ from: of('elsewhere.mp4'), sha256: sha256(bytes) });
  expect(task).toMatchObject({ status: 'SKIPPED', skipReason: 'SAME_CONTENT', videoId });
  expect(s3.requests).toEqual([]);
});

test.each([
  ['by URL', () => ({ url: origin.put({ bytes: freshContent() }) })],
  ['an object', () => put('other-sum.mp4')],
])('%s that is not what its SHA-256 says is FAILED, CHECKSUM_MISMATCH', async (_, from) => {
  const given = 'ab'.repeat(32);
  const task = await creator.bring({ from: from(), sha256: given });
  expect(task).toMatchObject({
    status: 'FAILED',
    outcome: 'FAILED',
    video: null,
    attempts: 1,
    error: { code: 'CHECKSUM_MISMATCH', retryable: false, required: given },
  });
  expect(task.error?.measured).toMatch(/^[0-9a-f]{64}$/);
});

test('what is not there makes a task that is FAILED, SOURCE_NOT_FOUND', async () => {
  const failed = { status: 'FAILED', attempts: 1, video: null, error: { code: 'SOURCE_NOT_FOUND' } };
  expect(await creator.bring({ from: of('missing.mp4') })).toMatchObject(failed);
  expect(await creator.bring({ from: { url: origin.missing } })).toMatchObject(failed);
});

test('what misses a requirement, or is no video, makes a task that is FAILED', async () => {
  s3.put('library', 'text.mp4', 'no video');
  expect(await creator.bring({ from: of('text.mp4') })).toMatchObject({
    status: 'FAILED',
    error: { code: 'UNSUPPORTED_MEDIA_TYPE' },
  });
});

test('it waits for no import that runs from the integration, and hinders none', async () => {
  put('slow/a.mp4');
  const end = scripted(s3, (request) =>
    isGet(request) && request.key.startsWith('slow/') ? { status: 503, code: 'SlowDown' } : undefined,
  );
  const { id } = await importer.start(allOf(integration, { prefix: 'slow/' }));
  expect(await creator.bring({ from: put('meanwhile.mp4') })).toMatchObject({
    status: 'READY',
    import: null,
  });
  expect(await importer.until(id, () => true)).toMatchObject({ finished: false, counts: { found: 1 } });
  const open = await creator.create({ from: of('slow/a.mp4') });
  end();
  expect(await importer.end(id)).toMatchObject({ state: 'SUCCEEDED' });
  // Whichever was the first brings it in.
  expect((await creator.follow(open)).at(-1)?.status).toMatch(/^(READY|SKIPPED)$/);
  const [video] = await rows.all(
    `select distinct video_id from tasks where source_key = 'slow/a.mp4' and finished_at is not null`,
  );
  expect(video).toEqual({ video_id: (await creator.follow(open)).at(-1)?.videoId.slice('vid_'.length) });
});
