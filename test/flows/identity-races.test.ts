import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { type FileOrigin, makeContents, sha256, startFileOrigin } from './file-origin.ts';
import { createImporter, type Importer, type ImportState, lasting, one, taskOf } from './url-imports.ts';

/** Whoever holds this lock keeps tasks from being indexed. */
const LOCK = 4711;

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
  await rows.all(`create function hold() returns trigger language plpgsql as $$
                  begin perform pg_advisory_xact_lock_shared(${LOCK}); return new; end $$`);
  await rows.all(`create trigger hold before update on tasks for each row
                  when (new.status = 'INDEXING' and old.status = 'QUEUED') execute function hold()`);
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
  await origin?.close();
});

async function whileIndexingIsHeld(run: () => Promise<void>): Promise<void> {
  await rows.all('select pg_advisory_lock($1)', [LOCK]);
  try {
    await run();
  } finally {
    await rows.all('select pg_advisory_unlock($1)', [LOCK]);
  }
}

const videosOf = (systemName: string) =>
  rows.all<{ sha256: string }>('select sha256 from videos where system_name = $1', [systemName]);
const tasksOf = (states: readonly ImportState[]) => states.flatMap(({ tasks }) => tasks.nodes);
const waits = ({ tasks }: ImportState) =>
  tasks.nodes.filter(({ status, waitingFor }) => status === 'QUEUED' && waitingFor === 'SAME_CONTENT').length;

/** One has come in, and every other one was skipped for it. */
function expectOneVideo(states: readonly ImportState[]): void {
  const tasks = tasksOf(states);
  const created = tasks.filter(({ outcome }) => outcome === 'CREATED');
  expect(created).toHaveLength(1);
  const [video] = created.map((task) => task.video);
  for (const task of tasks.filter(({ outcome }) => outcome !== 'CREATED'))
    expect(task).toMatchObject({
      status: 'SKIPPED',
      skipReason: 'SAME_CONTENT',
      videoId: video?.id,
      video: lasting(video),
    });
}

test('the same content under three ids of one import: one comes in, the others wait for it and are skipped', async () => {
  const bytes = freshContent();
  const videos = ['a', 'b', 'c'].map((externalId) => ({ externalId, url: origin.put({ bytes }) }));
  let id = '';
  await whileIndexingIsHeld(async () => {
    ({ id } = await importer.start({ systemName: 'triplets', videos }));
    // Counts may be a second older than the tasks.
    const held = await importer.until(id, (state) => waits(state) === 2 && state.counts.queued === 3);
    expect(held).toMatchObject({ state: 'STARTED', finished: false, counts: { ready: 0, skipped: 0 } });
  });
  const state = await importer.end(id);
  expect(state).toMatchObject({ state: 'SUCCEEDED', hasFailures: false, counts: { ready: 1, skipped: 2 } });
  expectOneVideo([state]);
  expect(await videosOf('triplets')).toEqual([{ sha256: sha256(bytes) }]);
});

test('the same content by two imports at once: one comes in, the other waits for it and is skipped', async () => {
  const bytes = freshContent();
  const ids: string[] = [];
  await whileIndexingIsHeld(async () => {
    const systems = ['left', 'right'];
    const started = systems.map((system) => importer.start(one(system, { url: origin.put({ bytes }) })));
    for (const { id } of await Promise.all(started)) ids.push(id);
    await Promise.any(ids.map((id) => importer.until(id, (state) => waits(state) === 1)));
  });
  expectOneVideo(await Promise.all(ids.map((id) => importer.end(id))));
  expect([...(await videosOf('left')), ...(await videosOf('right'))]).toEqual([{ sha256: sha256(bytes) }]);
});

test('the same pair with the same content by two imports at once is one video', async () => {
  const video = { url: origin.put({ bytes: freshContent(), etag: '"1"' }) };
  const states = await Promise.all([1, 2].map(() => importer.bring(one('pair', video))));
  const tasks = tasksOf(states);
  expect(tasks.map(({ outcome }) => outcome).sort()).toEqual(['CREATED', 'SKIPPED']);
  // Whichever was first: the newer import may have brought it before the older one came to it.
  const [skipped] = tasks.filter(({ outcome }) => outcome === 'SKIPPED');
  expect(['SAME_RECORD', 'SUPERSEDED']).toContain(skipped?.skipReason);
  expect(new Set(tasks.map(({ videoId }) => videoId)).size).toBe(1);
  expect(await videosOf('pair')).toHaveLength(1);
});

test('the same pair with other content by five imports at once: one video, as the newest import has it', async () => {
  const contents = Array.from({ length: 5 }, freshContent);
  const urls = contents.map((bytes) => origin.put({ bytes }));
  const states = await Promise.all(urls.map((url) => importer.bring(one('five', { url }))));
  const tasks = tasksOf(states);
  const outcomes = tasks.map(({ outcome }) => outcome);
  expect(outcomes.filter((outcome) => outcome === 'CREATED')).toHaveLength(1);
  const skips = tasks.filter(({ status }) => status === 'SKIPPED').map(({ skipReason }) => skipReason);
  expect(skips.every((reason) => reason === 'SUPERSEDED')).toBe(true);
  expect(tasks.every(({ status }) => status === 'READY' || status === 'SKIPPED')).toBe(true);
  expect(new Set(tasks.map(({ videoId }) => videoId)).size).toBe(1);
  // Ids of imports are in the order of their creation.
  const newest = states.reduce((a, b, at) => (b.id > (states[a]?.id ?? '') ? at : a), 0);
  expect(await videosOf('five')).toEqual([{ sha256: sha256(contents[newest] ?? Buffer.alloc(0)) }]);
});

test('a task of an import older than the version in place is SKIPPED, SUPERSEDED', async () => {
  const released = new AbortController();
  const newer = freshContent();
  const slow = origin.put({ bytes: freshContent(), etag: '"slow"', held: released.signal });
  const older = await importer.start(one('versions', { url: slow, name: 'Older' }));
  const brought = await importer.bring(one('versions', { url: origin.put({ bytes: newer }), name: 'Newer' }));
  expect(taskOf(brought, 'one')).toMatchObject({ outcome: 'CREATED', video: { name: 'Newer' } });
  released.abort();
  const late = await importer.end(older.id);
  expect(late).toMatchObject({ state: 'SUCCEEDED', hasFailures: false });
  const { video } = taskOf(brought, 'one');
  const skipped = { status: 'SKIPPED', skipReason: 'SUPERSEDED', videoId: video?.id, video: lasting(video) };
  expect(taskOf(late, 'one')).toMatchObject(skipped);
  expect(await videosOf('versions')).toEqual([{ sha256: sha256(newer) }]);
});
