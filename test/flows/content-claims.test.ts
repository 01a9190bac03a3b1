import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { type FileOrigin, makeContents, sha256, startFileOrigin } from './file-origin.ts';
import { countHeld, DOOMED, HELD, holdTasks, type WhileHeld } from './held-tasks.ts';
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

/** Starts an import of one video and waits until it is stored, and its task held. */
async function store(system: string, bytes: Buffer, name: string): Promise<ImportState> {
  const before = await countHeld(rows);
  const { id } = await importer.start(one(system, { url: origin.put({ bytes }), name }));
  const stored = await importer.until(id, (state) => taskOf(state, 'one').status === 'QUEUED');
  await waitFor(async () => (await countHeld(rows)) > before, { what: 'a task that is held' });
  return stored;
}

/** Starts an import of one video and waits until it waits for the same content. */
async function wait(system: string, bytes: Buffer): Promise<ImportState> {
  const { id } = await importer.start(one(system, { url: origin.put({ bytes }), name: 'Waiter' }));
  return await importer.until(id, (state) => taskOf(state, 'one').waitingFor === 'SAME_CONTENT');
}

const end = async ({ id }: ImportState) => taskOf(await importer.end(id), 'one');
const videosWith = (bytes: Buffer) =>
  rows.all<{ system_name: string }>('select system_name from videos where sha256 = $1 order by system_name', [
    sha256(bytes),
  ]);
const claimOn = (bytes: Buffer) =>
  rows.one<{ system_name: string; task_id: string | null }>(
    `select v.system_name, c.task_id from content_claims c join videos v on v.id = c.video_id where c.sha256 = $1`,
    [sha256(bytes)],
  );
/** How many wait for a content that nobody brings, and that no job is to decide about. */
const forgotten = () =>
  rows.one<{ n: number }>(`
    select count(*)::int as n from tasks t left join content_claims c using (index_id, sha256)
     where t.waiting_for = 'SAME_CONTENT' and c.task_id is null
       and not exists (select from jobs j where j.kind = 'settle-content' and j.payload ->> 'sha256' = t.sha256)`);

test.each([
  [HELD, { status: 'SKIPPED', skipReason: 'SUPERSEDED' }],
  [DOOMED, { status: 'FAILED', error: { code: 'INTERNAL' } }],
])(
  'who waits for a content comes in once a newer import has replaced it, and its holder ends (%s)',
  async (name, ending) => {
    const [content, newer] = [freshContent(), freshContent()];
    const [p, q] = [`p-${name}`, `q-${name}`];
    const holder = await whileHeld(async () => {
      const held = await store(p, content, name);
      const waiter = await wait(q, content);
      const update = await importer.bring(one(p, { url: origin.put({ bytes: newer }), name: 'Newer' }));
      expect(taskOf(update, 'one')).toMatchObject({ status: 'READY', video: { name: 'Newer' } });
      expect(await forgotten()).toEqual({ n: 0 });
      expect(await end(waiter)).toMatchObject({
        status: 'READY',
        outcome: 'CREATED',
        video: { name: 'Waiter' },
      });
      return held;
    });
    expect(await end(holder)).toMatchObject({ ...ending, video: { name: 'Newer', sha256: sha256(newer) } });
    expect(await videosWith(content)).toEqual([{ system_name: q }]);
    expect(await videosWith(newer)).toEqual([{ system_name: p }]);
    expect(await claimOn(content)).toEqual({ system_name: q, task_id: null });
    expect(await claimOn(newer)).toEqual({ system_name: p, task_id: null });
  },
);

test('a creation whose index job fails for good goes with its bytes, and its content comes in by who waited for it', async () => {
  const content = freshContent();
  const [doomed, waiter] = await whileHeld(async () => {
    const creation = await store('lost', content, DOOMED);
    return [creation, await wait('heir', content)] as const;
  });
  const taskFolder = taskOf(doomed, 'one').id.slice('task_'.length);
  const failed = await end(doomed);
  expect(failed).toMatchObject({ status: 'FAILED', video: null });
  expect(failed.error).toMatchObject({ code: 'INTERNAL', retryable: true });
  expect(await end(waiter)).toMatchObject({ status: 'READY', outcome: 'CREATED', video: { name: 'Waiter' } });
  expect(await videosWith(content)).toEqual([{ system_name: 'heir' }]);
  expect(await claimOn(content)).toEqual({ system_name: 'heir', task_id: null });
  await waitFor(() => !pathsIn(server.dataDir).some((path) => path.includes(taskFolder)), {
    what: 'the end of its bytes',
  });
});

test('a content that failed to come in by one, and is in by another as a copy, is what its waiters are skipped for', async () => {
  const content = freshContent();
  const [doomed, waiter, copy] = await whileHeld(async () => {
    const creation = await store('a', content, DOOMED);
    const copied = await importer.bring(
      one('b', { url: origin.put({ bytes: content }), name: 'Copy' }, { incremental: false }),
    );
    return [creation, await wait('c', content), taskOf(copied, 'one')] as const;
  });
  expect(copy).toMatchObject({ status: 'READY', outcome: 'CREATED', video: { name: 'Copy' } });
  expect(await end(doomed)).toMatchObject({ status: 'FAILED', video: null });
  const skip = {
    status: 'SKIPPED',
    skipReason: 'SAME_CONTENT',
    videoId: copy.videoId,
    video: lasting(copy.video),
  };
  expect(await end(waiter)).toMatchObject(skip);
  expect(await videosWith(content)).toEqual([{ system_name: 'b' }]);
  expect(await claimOn(content)).toEqual({ system_name: 'b', task_id: null });
});

test('who waited for a content that failed to come in, and has no room for it by then, fails', async () => {
  const content = freshContent();
  const [doomed, ...waiters] = await whileHeld(async () => {
    const creation = await store('full-a', content, DOOMED);
    const waiting = [await wait('full-b', content), await wait('full-c', content)];
    await rows.all('update teams set max_videos = 0');
    return [creation, ...waiting];
  });
  if (doomed === undefined) throw new Error('there is no task');
  expect(await end(doomed)).toMatchObject({ status: 'FAILED', error: { code: 'INTERNAL' } });
  for (const waiter of waiters)
    expect(await end(waiter)).toMatchObject({
      status: 'FAILED',
      video: null,
      error: { code: 'USAGE_LIMIT_EXCEEDED', required: '0 videos' },
    });
  await rows.all('update teams set max_videos = null');
  expect(await videosWith(content)).toEqual([]);
  expect(await rows.all('select from content_claims where sha256 = $1', [sha256(content)])).toEqual([]);
});

test('who was forgotten, its claim gone or its job lost, is decided about by housekeeping', async () => {
  const [unclaimed, jobless] = [freshContent(), freshContent()];
  await rows.all(
    `create function lose_job() returns trigger language plpgsql as $$ begin return null; end $$`,
  );
  await rows.all(`create trigger lose_job before insert on jobs for each row
                  when (new.kind = 'settle-content') execute function lose_job()`);
  const [holders, waiters] = await whileHeld(async () => {
    const held = [await store('r', unclaimed, HELD), await store('s', jobless, HELD)];
    const waiting = [await wait('t', unclaimed), await wait('u', jobless)];
    await rows.all('delete from content_claims where sha256 = $1', [sha256(unclaimed)]);
    return [held, waiting] as const;
  });
  const brought = await Promise.all(holders.map(end));
  expect(brought.map(({ outcome }) => outcome)).toEqual(['CREATED', 'CREATED']);
  expect(await forgotten()).toEqual({ n: 2 });
  await rows.all('drop trigger lose_job on jobs');
  const [free, skipped] = await Promise.all(waiters.map(end));
  // Nobody knows any more that the content is there.
  expect(free).toMatchObject({ status: 'READY', outcome: 'CREATED' });
  expect(skipped).toMatchObject({ skipReason: 'SAME_CONTENT', videoId: brought[1]?.videoId });
});
