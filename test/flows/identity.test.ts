import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toPublicId } from '../../src/services/public-ids.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { type FileOrigin, makeContents, sha256, startFileOrigin } from './file-origin.ts';
import { createImporter, type Importer, lasting, one, taskOf } from './url-imports.ts';

let origin: FileOrigin;
let server: TestServer;
let rows: Rows;
let importer: Importer;
let freshContent: () => Buffer;

beforeAll(async () => {
  freshContent = await makeContents();
  origin = await startFileOrigin();
  server = await startTestServer({ SLUICE_PLAN_SECONDS: '20' });
  importer = createImporter(server);
  rows = await openRows(server.databaseUrl);
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
  await origin?.close();
});

const put = (bytes: Buffer, etag?: string, name?: string) =>
  origin.put({ bytes, ...(etag === undefined ? {} : { etag }) }, name);
const bringOne = async (...args: Parameters<typeof one>) => taskOf(await importer.bring(one(...args)), 'one');
const videosOf = (systemName: string) =>
  rows.all<{ id: string; sha256: string; storage_key: string }>(
    'select id, sha256, storage_key from videos where system_name = $1',
    [systemName],
  );
const bytesAt = async (url: string | undefined) => await (await fetch(url ?? '')).bytes();

const READY = (outcome: 'CREATED' | 'UPDATED') => ({ status: 'READY', outcome, skipReason: null });
const SKIPPED = (skipReason: string) => ({ status: 'SKIPPED', outcome: 'SKIPPED', skipReason });

test('a known pair with the same content and nothing new about it is SKIPPED, SAME_RECORD', async () => {
  const bytes = freshContent();
  const url = put(bytes, '"1"');
  const about = { name: 'First', description: 'Of all', metadata: { season: 1 } };
  const created = await bringOne('same', { url, ...about });
  expect(created).toMatchObject(READY('CREATED'));

  const before = origin.asked(url);
  const again = await importer.start(one('same', { url, ...about }));
  // Nothing has to be read to tell: the answer is the end.
  expect(again).toMatchObject({
    state: 'SUCCEEDED',
    hasFailures: false,
    progress: { fraction: 1, bytesDone: 0 },
  });
  expect(taskOf(again, 'one')).toMatchObject({
    ...SKIPPED('SAME_RECORD'),
    attempts: 0,
    video: lasting(created.video),
  });
  expect(origin.asked(url)).toEqual({ looks: before.looks + 1, transfers: before.transfers });

  const elsewhere = put(bytes);
  const read = await bringOne('same', { url: elsewhere });
  expect(read).toMatchObject({ ...SKIPPED('SAME_RECORD'), attempts: 1, video: lasting(created.video) });
  expect(origin.asked(elsewhere).transfers).toBe(1);
});

test('a known pair with the same content and something new about it is UPDATED without new bytes', async () => {
  const bytes = freshContent();
  const url = put(bytes, '"1"');
  const about = { name: 'First', description: 'Of all', metadata: { season: 1, part: 'a' } };
  const created = await bringOne('about', { url, ...about });
  const { looks } = origin.asked(url);

  const renamed = await bringOne('about', { url, name: 'Second' });
  expect(renamed).toMatchObject({
    ...READY('UPDATED'),
    videoId: created.videoId,
    progress: { bytesDone: 0 },
  });
  expect(renamed.video).toMatchObject({ ...about, name: 'Second' });
  expect(origin.asked(url)).toEqual({ looks: looks + 1, transfers: 1 });

  const unread = origin.missing;
  const told = await bringOne('about', { url: unread, sha256: sha256(bytes), description: 'Of two' });
  expect(told).toMatchObject({ ...READY('UPDATED'), videoId: created.videoId });
  expect(told.video).toMatchObject({ name: 'Second', description: 'Of two', metadata: about.metadata });
  const replaced = await bringOne('about', { url: unread, sha256: sha256(bytes), metadata: { part: 'b' } });
  expect(replaced.video).toMatchObject({ name: 'Second', description: 'Of two', metadata: { part: 'b' } });
  expect(origin.asked(unread)).toEqual({ looks: 0, transfers: 0 });
  expect(sha256(await bytesAt(replaced.video?.originalUrl))).toBe(sha256(bytes));
});

test('a known pair with other content is UPDATED: the same video, other bytes', async () => {
  const [before, after] = [freshContent(), freshContent()];
  const url = put(before, '"1"', 'changing');
  const created = await bringOne('content', { url, description: 'Kept' });
  const [old] = await videosOf('content');
  put(after, '"2"', 'changing');
  const updated = await bringOne('content', { url });
  expect(updated).toMatchObject({ ...READY('UPDATED'), videoId: created.videoId });
  expect(updated.video).toMatchObject({ id: created.video?.id, sha256: sha256(after), description: 'Kept' });
  expect(sha256(await bytesAt(updated.video?.originalUrl))).toBe(sha256(after));

  // The old bytes stay for as long as a URL to them may be in somebody's hands, and go then.
  const folder = join(server.dataDir, 'media', old?.storage_key ?? '', '..');
  expect(await readdir(folder)).toContain('original');
  const { left } = await rows.one<{ left: number }>(
    `select extract(epoch from run_at - now())::int as left from jobs
      where kind = 'delete-objects' and $1 like (payload ->> 'prefix') || '/%'`,
    [old?.storage_key],
  );
  expect(left).toBeGreaterThan(3600);
  // Of its job alone: others of many rows could each wait for the other.
  await rows.all(
    `update jobs set run_at = now() where kind = 'delete-objects' and $1 like (payload ->> 'prefix') || '/%'`,
    [old?.storage_key],
  );
  await waitFor(
    () =>
      readdir(folder).then(
        () => false,
        () => true,
      ),
    { what: 'the end of the old bytes' },
  );
  // The index does not hold the old content any more.
  expect(await bringOne('content-again', { url: put(before) })).toMatchObject(READY('CREATED'));
});

test('a new pair with content that the index holds: SKIPPED, SAME_CONTENT, unless incremental is false', async () => {
  const bytes = freshContent();
  const created = await bringOne('holder', { url: put(bytes, '"1"') });
  const skipped = await bringOne('other', { url: put(bytes) });
  expect(skipped).toMatchObject({
    ...SKIPPED('SAME_CONTENT'),
    videoId: created.videoId,
    video: lasting(created.video),
  });
  const unread = origin.missing;
  const told = await bringOne('told', { url: unread, sha256: sha256(bytes).toUpperCase() });
  expect(told).toMatchObject({ ...SKIPPED('SAME_CONTENT'), attempts: 0, video: lasting(created.video) });
  expect(origin.asked(unread)).toEqual({ looks: 0, transfers: 0 });
  const another = await bringOne('other', { url: put(bytes) }, { incremental: false });
  expect(another).toMatchObject(READY('CREATED'));
  expect(another.videoId).not.toBe(created.videoId);
  expect(await videosOf('other')).toHaveLength(1);
});

test('metadata of the video wins over that of the import key by key, and replaces what was there', async () => {
  const url = put(freshContent(), '"1"');
  const ofImport = { project: 'x', rating: 1, draft: true };
  const merged = { project: 'x', rating: 4.5, draft: true, own: 'y' };
  const created = await bringOne(
    'metadata',
    { url, metadata: { rating: 4.5, own: 'y' } },
    { metadata: ofImport },
  );
  expect(created).toMatchObject(READY('CREATED'));
  expect([created.metadata, created.video?.metadata]).toEqual([merged, merged]);
  const kept = await bringOne('metadata', { url, description: 'New' });
  expect(kept.video?.metadata).toEqual(merged);
  const replaced = await bringOne(
    'metadata',
    { url, metadata: { own: 'z' } },
    { metadata: { project: 'w' } },
  );
  expect(replaced.video?.metadata).toEqual({ project: 'w', own: 'z' });
});

test('an external id that occurs twice in one call: the second is rejected, the first goes on', async () => {
  const [first, second] = [put(freshContent()), put(freshContent())];
  const videos = [first, second].map((url) => ({ externalId: 'twin', url, name: url }));
  const state = await importer.bring({ systemName: 'twins', videos });
  expect(state).toMatchObject({ hasFailures: true, counts: { found: 2, rejected: 1, ready: 1 } });
  expect(state.tasks.nodes).toMatchObject([{ ...READY('CREATED'), video: { name: first } }]);
  expect(state.failedFiles.nodes).toMatchObject([
    { externalId: 'twin', name: second, error: { code: 'DUPLICATE_IN_REQUEST', retryable: false } },
  ]);
  expect(origin.asked(second)).toEqual({ looks: 0, transfers: 0 });
});

test('a file that is not the one of the given SHA-256 fails, and leaves nothing', async () => {
  const [bytes, meant] = [freshContent(), sha256(freshContent())];
  const task = await bringOne('checksum', { url: put(bytes), sha256: meant });
  const error = { code: 'CHECKSUM_MISMATCH', measured: sha256(bytes), required: meant, retryable: false };
  expect(task).toMatchObject({ status: 'FAILED', outcome: 'FAILED', attempts: 1, video: null, error });
  expect(await videosOf('checksum')).toEqual([]);
  const right = await bringOne('checksum', { url: put(bytes), sha256: sha256(bytes) });
  expect(right).toMatchObject(READY('CREATED'));
});

async function insertIndex(requirements: object): Promise<string> {
  const { id } = await rows.one<{ id: string }>(
    `insert into indexes (id, team_id, name, requirements)
     select gen_random_uuid(), id, 'Another', $1::jsonb from teams returning id`,
    [JSON.stringify(requirements)],
  );
  return toPublicId('Index', id);
}

test('the same video goes into two indexes, as a video of each', async () => {
  const video = { url: put(freshContent(), '"1"') };
  const indexId = await insertIndex({});
  const here = await bringOne('two', video);
  const there = await bringOne('two', video, { indexId });
  expect([here, there]).toMatchObject([READY('CREATED'), READY('CREATED')]);
  expect(new Set([here.videoId, there.videoId]).size).toBe(2);
  expect(await bringOne('two', video, { indexId })).toMatchObject({
    ...SKIPPED('SAME_RECORD'),
    video: lasting(there.video),
  });
});

test('an index with stricter rules of its own rejects by them, and lets no laxer one weaken those of the server', async () => {
  const strict = await insertIndex({ minWidth: 600, minDuration: 1 });
  const state = await importer.bring(one('strict', { url: put(freshContent()) }, { indexId: strict }));
  expect(state.tasks.nodes).toEqual([]);
  expect(state.failedFiles.nodes).toMatchObject([
    { error: { code: 'VIDEO_RESOLUTION_TOO_LOW', measured: '480x360', required: '600x360' } },
  ]);
  const lax = await insertIndex({ minWidth: 1, minDuration: 1 });
  expect(await bringOne('strict', { url: put(freshContent()) }, { indexId: lax })).toMatchObject(
    READY('CREATED'),
  );
});
