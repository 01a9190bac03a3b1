import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { type FileOrigin, makeContents, sha256, startFileOrigin } from './file-origin.ts';
import { DOOMED, HELD, holdTasks, type WhileHeld } from './held-tasks.ts';
import { pathsIn } from './stored-files.ts';
import { createImporter, type Importer, type ImportState, lasting, one, taskOf } from './url-imports.ts';

let origin: FileOrigin;
let server: TestServer;
let rows: Rows;
let importer: Importer;
let freshContent: () => Buffer;
let whileHeld: WhileHeld;

beforeAll(async () => {
  freshContent = await makeContents();
  origin = await startFileOrigin();
  server = await startTestServer({
    SLUICE_PLAN_SECONDS: '20',
    SLUICE_INDEX_CONCURRENCY: '8',
    SLUICE_LOG_LEVEL: 'fatal', // Failing jobs are what is looked for.
  });
  importer = createImporter(server);
  rows = await openRows(server.databaseUrl);
  whileHeld = await holdTasks(rows);
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
  await origin?.close();
});

type Video = Parameters<typeof one>[1];

const bring = async (system: string, video: Video) => taskOf(await importer.bring(one(system, video)), 'one');
/** Starts an import of one video and waits until it is stored. */
async function store(system: string, video: Video): Promise<ImportState> {
  const { id } = await importer.start(one(system, video));
  return await importer.until(id, (state) => taskOf(state, 'one').status === 'QUEUED');
}
const end = async ({ id }: ImportState) => taskOf(await importer.end(id), 'one');
const stored = (system: string) =>
  rows.one<{ name: string; sha256: string; indexed: boolean }>(
    'select name, sha256, indexed_at is not null as indexed from videos where system_name = $1',
    [system],
  );
/** What is served for a video. */
async function served({ video }: ImportState['tasks']['nodes'][number]): Promise<string> {
  const response = await fetch(video?.originalUrl ?? '');
  return response.ok ? sha256(Buffer.from(await response.arrayBuffer())) : `status ${response.status}`;
}
/** Jobs that delete what a task has brought in. */
const deletions = (taskId: string) =>
  rows.all(`select payload from jobs where kind = 'delete-objects' and payload ->> 'prefix' like $1`, [
    `%${taskId.slice('task_'.length)}%`,
  ]);

test('an update whose index job fails for good leaves the video with its new bytes, and they are served', async () => {
  const content = freshContent();
  const before = await bring('update', { url: origin.put({ bytes: freshContent() }), name: 'Before' });
  const failed = await bring('update', { url: origin.put({ bytes: content }), name: DOOMED });
  expect(failed).toMatchObject({ status: 'FAILED', videoId: before.videoId, error: { code: 'INTERNAL' } });
  expect(failed.video).toMatchObject({ name: DOOMED, sha256: sha256(content) });
  expect(await deletions(failed.id)).toEqual([]);
  expect(await served(failed)).toBe(sha256(content));
  expect(await stored('update')).toEqual({ name: DOOMED, sha256: sha256(content), indexed: false });
  // The next import mends it.
  const mended = freshContent();
  const next = await bring('update', { url: origin.put({ bytes: mended }), name: 'After' });
  expect(next).toMatchObject({ outcome: 'UPDATED', videoId: before.videoId });
  expect(await served(next)).toBe(sha256(mended));
});

test('a creation whose index job fails for good leaves what a newer import has confirmed', async () => {
  const content = freshContent();
  const creation = await whileHeld(async () => {
    const made = await store('confirmed', { url: origin.put({ bytes: content }), name: DOOMED });
    const same = await bring('confirmed', { url: origin.put({ bytes: content }), name: DOOMED });
    expect(same).toMatchObject({ status: 'SKIPPED', skipReason: 'SAME_RECORD' });
    return made;
  });
  const failed = await end(creation);
  expect(failed).toMatchObject({ status: 'FAILED', video: { sha256: sha256(content) } });
  expect(await deletions(failed.id)).toEqual([]);
  expect(await served(failed)).toBe(sha256(content));
});

test.each([
  ['by a look at its source', { etag: '"same"' }],
  ['by a transfer', {}],
])(
  'an older import that lands after a newer one has confirmed the content (%s) is SUPERSEDED',
  async (how, version) => {
    const system = `older ${how}`;
    const content = freshContent();
    const same = { url: origin.put({ bytes: content, ...version }), name: 'Same' };
    const first = await bring(system, same);
    const released = new AbortController();
    const slow = origin.put({ bytes: freshContent(), etag: '"slow"', held: released.signal });
    const older = await importer.start(one(system, { url: slow, name: 'Older' }));
    const confirmed = await bring(system, same);
    expect(confirmed).toMatchObject({ status: 'SKIPPED', skipReason: 'SAME_RECORD', videoId: first.videoId });
    const before = await stored(system);
    released.abort();
    const late = await end(older);
    expect(late).toMatchObject({
      status: 'SKIPPED',
      skipReason: 'SUPERSEDED',
      video: lasting(confirmed.video),
    });
    expect(await stored(system)).toEqual(before);
    expect(before).toEqual({ name: 'Same', sha256: sha256(content), indexed: true });
    expect(await served(late)).toBe(sha256(content));
  },
);

test('a version that was replaced before it was indexed is SUPERSEDED, and the one in its place is indexed', async () => {
  const newer = freshContent();
  const [maker, update] = await whileHeld(
    async () =>
      [
        await store('replaced', { url: origin.put({ bytes: freshContent() }), name: HELD }),
        await bring('replaced', { url: origin.put({ bytes: newer }), name: 'Newer' }),
      ] as const,
  );
  expect(update).toMatchObject({ status: 'READY', video: { name: 'Newer' } });
  const indexed = await rows.one('select indexed_at, updated_at from videos where system_name = $1', [
    'replaced',
  ]);
  const skipped = await end(maker);
  expect(skipped).toMatchObject({ status: 'SKIPPED', skipReason: 'SUPERSEDED', outcome: 'SKIPPED' });
  expect(skipped).toMatchObject({ videoId: update.videoId, video: lasting(update.video) });
  // Its bytes go when the last URL that was handed out has expired, and not with the task.
  expect(await deletions(skipped.id)).toHaveLength(1);
  const folder = skipped.id.slice('task_'.length);
  const kept = pathsIn(server.dataDir);
  expect(kept.filter((path) => path.includes(folder) && path.endsWith('original'))).toHaveLength(1);
  expect(await rows.one(`select indexed_at, updated_at from videos where system_name = 'replaced'`)).toEqual(
    indexed,
  );
  expect(await served(skipped)).toBe(sha256(newer));
});

test('who made the video has CREATED it and who described it has UPDATED it, though that one ended first', async () => {
  const content = freshContent();
  const [maker, describer] = await whileHeld(
    async () =>
      [
        await store('described', { url: origin.put({ bytes: content }), name: HELD }),
        await bring('described', { url: origin.put({ bytes: content }), name: 'Described' }),
      ] as const,
  );
  expect(describer).toMatchObject({ status: 'READY', outcome: 'UPDATED' });
  const made = await end(maker);
  expect(made).toMatchObject({ status: 'READY', outcome: 'CREATED', videoId: describer.videoId });
  expect(await stored('described')).toEqual({ name: 'Described', sha256: sha256(content), indexed: true });
  const updated = await bring('described', { url: origin.put({ bytes: freshContent() }) });
  expect(updated).toMatchObject({ status: 'READY', outcome: 'UPDATED', videoId: made.videoId });
});

test('who replaces a version that was described before it was indexed is the one that has CREATED the video', async () => {
  const content = freshContent();
  const [maker, describer, newer] = await whileHeld(
    async () =>
      [
        await store('edge', { url: origin.put({ bytes: content }), name: HELD }),
        await bring('edge', { url: origin.put({ bytes: content }), name: 'Described' }),
        await bring('edge', { url: origin.put({ bytes: freshContent() }), name: 'Newer' }),
      ] as const,
  );
  const made = await end(maker);
  expect([made.outcome, describer.outcome, newer.outcome]).toEqual(['SKIPPED', 'UPDATED', 'CREATED']);
});

test('an update of a video whose creation failed, but which was confirmed, leaves it when it fails too', async () => {
  const content = freshContent();
  const creation = await whileHeld(async () => {
    const made = await store('kept', { url: origin.put({ bytes: content }), name: DOOMED });
    await bring('kept', { url: origin.put({ bytes: content }), name: DOOMED });
    return made;
  });
  const failed = await end(creation);
  expect(failed.video).not.toBeNull();
  const update = await bring('kept', { url: origin.put({ bytes: freshContent() }), name: DOOMED });
  expect(update).toMatchObject({ status: 'FAILED', video: { id: failed.videoId } });
});
