import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestClient } from '../support/client.ts';
import { finishDeletions } from '../support/oracle/deletions.ts';
import { objectsIn } from '../support/oracle/objects.ts';
import { insertTeam } from '../support/rows.ts';
import { named } from './cancel-retry.ts';
import { createDeleter } from './deletions.ts';
import { sha256 } from './file-origin.ts';
import { type ProvingGround, startProvingGround } from './proving-ground.ts';
import { keepStuckTasks, OPEN_STATUSES, stuckIn } from './stuck-tasks.ts';

let ground: ProvingGround;
let deleters: readonly ReturnType<typeof createDeleter>[];
let systems = 0;

beforeAll(async () => {
  ground = await startProvingGround({ servers: 2 });
  deleters = [ground.client, createTestClient({ url: ground.url, key: KEY })].map((client) =>
    createDeleter(client),
  );
  await keepStuckTasks(ground.rows);
});

afterAll(async () => {
  await ground?.stop();
});

const KEY = `slc_${'t'.repeat(43)}`;
const DELETED = { __typename: 'DeleteVideoSuccess' };
const NOT_FOUND = { __typename: 'NotFoundError', path: ['id'] };
const deleter = () => deleters[0] as ReturnType<typeof createDeleter>;
const newSystem = () => {
  systems += 1;
  return `deleted-${systems}`;
};

interface Brought {
  readonly systemName?: string;
  readonly bytes?: Buffer;
  readonly name?: string;
  readonly url?: string;
}

/** Starts an import of one video. */
async function start({ systemName = newSystem(), bytes = ground.freshContent(), name, url }: Brought = {}) {
  const video = { externalId: 'one', url: url ?? ground.origin.put({ bytes }) };
  const { id } = await ground.canceler.start({
    systemName,
    videos: [{ ...video, ...(name === undefined ? {} : { name }) }],
  });
  return { id, url: video.url, systemName };
}

/** The same, until it has ended. */
async function bring(brought: Brought = {}) {
  const started = await start(brought);
  const found = await ground.canceler.end(started.id);
  return { ...started, found, task: named(found, 'one') };
}

/** What is stored once all that was to go has gone. */
async function storedKeys(): Promise<readonly string[]> {
  await finishDeletions(ground.databaseUrl);
  return [...(await objectsIn(ground.storage).list())].sort();
}
const keysOfVideos = async () =>
  (await ground.rows.all<{ key: string }>('select storage_key as key from videos order by 1')).map(
    ({ key }) => key,
  );

test('a deleted video is gone with its bytes, its tasks stay without it, and the next import brings it in again', async () => {
  const bytes = ground.freshContent();
  const first = await bring({ bytes });
  const again = await bring({ systemName: first.systemName, url: first.url });
  const same = await bring({ bytes });
  expect([first, again, same].map(({ task }) => task.status)).toEqual(['READY', 'SKIPPED', 'SKIPPED']);

  expect(await deleter().deleteVideo(first.task.videoId)).toEqual({
    ...DELETED,
    deletedId: first.task.videoId,
  });
  expect(await deleter().deleteVideo(first.task.videoId)).toEqual(NOT_FOUND);
  for (const { task } of [first, again, same]) {
    const { video, ...rest } = await ground.canceler.lookAtTask(task.id);
    expect(video).toBeNull();
    expect(rest).toEqual((({ video: _, ...others }) => others)(task));
  }
  expect(await storedKeys()).toEqual(await keysOfVideos());
  const left = await ground.rows.one<{ n: number }>(
    `select (select count(*) from content_claims where sha256 = $1)
          + (select count(*) from source_versions where sha256 = $1)
          + (select count(*) from video_keys where system_name = $2) as n`,
    [sha256(bytes), first.systemName],
  );
  expect(Number(left.n)).toBe(0);

  const back = await bring({ systemName: first.systemName, url: first.url });
  expect(back.task).toMatchObject({ status: 'READY', outcome: 'CREATED' });
  expect(back.task.videoId).not.toBe(first.task.videoId);
  expect(await storedKeys()).toEqual(await keysOfVideos());
});

test.each(OPEN_STATUSES)(
  'an update of it that is %s ends as CANCELED, and its import with it',
  async (status) => {
    const first = await bring();
    const update = await start({ systemName: first.systemName, name: stuckIn(status) });
    await ground.canceler.until(update.id, ({ tasks }) => tasks.nodes.some((task) => task.status === status));
    expect(await deleter().deleteVideo(first.task.videoId)).toMatchObject(DELETED);
    const ended = await ground.canceler.end(update.id);
    expect(named(ended, 'one')).toMatchObject({ status: 'CANCELED', outcome: 'CANCELED', video: null });
    expect(ended).toMatchObject({ state: 'FAILED', error: { code: 'NOTHING_CAME_IN' } });
    expect(await ground.rows.all('select from videos where system_name = $1', [first.systemName])).toEqual(
      [],
    );
  },
);

test.each(['QUEUED', 'INDEXING'] as const)(
  'a video whose own task is %s can be deleted: that task is CANCELED',
  async (status) => {
    const { id } = await start({ name: stuckIn(status) });
    const found = await ground.canceler.until(id, ({ tasks }) =>
      tasks.nodes.some((task) => task.status === status),
    );
    const { videoId } = named(found, 'one');
    expect(await deleter().deleteVideo(videoId)).toMatchObject(DELETED);
    expect(named(await ground.canceler.end(id), 'one')).toMatchObject({ status: 'CANCELED', video: null });
    expect(await deleter().deleteVideo(videoId)).toEqual(NOT_FOUND);
  },
);

test('what waited for its content goes on, and another video with it holds it from then on', async () => {
  const bytes = ground.freshContent();
  const { id } = await start({ bytes, name: stuckIn('INDEXING') });
  const holder = await ground.canceler.until(id, ({ tasks }) =>
    tasks.nodes.some(({ status }) => status === 'INDEXING'),
  );
  const waiting = await start({ bytes });
  await ground.canceler.until(waiting.id, ({ tasks }) =>
    tasks.nodes.some(({ waitingFor }) => waitingFor === 'SAME_CONTENT'),
  );
  expect(await deleter().deleteVideo(named(holder, 'one').videoId)).toMatchObject(DELETED);
  const after = named(await ground.canceler.end(waiting.id), 'one');
  expect(after).toMatchObject({ status: 'READY', outcome: 'CREATED' });
  const claim = await ground.rows.one('select video_id, task_id from content_claims where sha256 = $1', [
    sha256(bytes),
  ]);
  expect(claim).toEqual({ video_id: after.videoId.slice('vid_'.length), task_id: null });
});

test('of many who delete it at once one does; its bytes go by one job', async () => {
  const { task } = await bring();
  const { key } = await ground.rows.one<{ key: string }>(
    'select storage_key as key from videos where id = $1',
    [task.videoId.slice('vid_'.length)],
  );
  const count = async () =>
    (await ground.rows.one<{ n: number }>(`select count(*)::int as n from deletions`)).n;
  await ground.rows.all(`create table deletions (id uuid)`);
  await ground.rows.all(`create function note_deletion() returns trigger language plpgsql as
    'begin insert into deletions values (new.id); return null; end'`);
  // Of its bytes alone: workers of earlier tests may notice only now that what they wrote is nobody's.
  await ground.rows.all(
    `create trigger note_deletion after insert on jobs for each row
       when (new.kind = 'delete-objects' and starts_with('${key}', new.payload ->> 'prefix')) execute function note_deletion()`,
  );
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, n) => (deleters[n % 2] ?? deleter()).deleteVideo(task.videoId)),
  );
  expect(answers.filter(({ __typename }) => __typename === 'DeleteVideoSuccess')).toHaveLength(1);
  expect(await count()).toBe(1);
  await ground.rows.all('drop trigger note_deletion on jobs');
});

test('deleted again and again while imports bring it in again: nothing is left behind and no task stays open', async () => {
  const systemName = newSystem();
  const contents = [ground.freshContent(), ground.freshContent()];
  const ids: string[] = [];
  const remove = async () => {
    const videos = await ground.rows.all<{ id: string }>('select id from videos where system_name = $1', [
      systemName,
    ]);
    for (const { id } of videos) await deleter().deleteVideo(`vid_${id}`);
  };
  for (let round = 0; round < 6; round += 1) {
    const started = await Promise.all(
      ground.cancelers.map((canceler, n) =>
        canceler.start({
          systemName,
          videos: [
            { externalId: 'one', url: ground.origin.put({ bytes: contents[(round + n) % 2] as Buffer }) },
          ],
        }),
      ),
    );
    ids.push(...started.map(({ id }) => id));
    await remove();
  }
  for (const id of ids) await ground.canceler.end(id);
  await remove();
  const { n } = await ground.rows.one<{ n: number }>(
    `select (select count(*) from tasks where system_name = $1 and finished_at is null)
          + (select count(*) from videos where system_name = $1)
          + (select count(*) from video_keys where system_name = $1)
          + (select count(*) from content_claims where sha256 = any($2)) as n`,
    [systemName, contents.map(sha256)],
  );
  expect(Number(n)).toBe(0);
  expect(await storedKeys()).toEqual(await keysOfVideos());
});

test('another team’s video is not found', async () => {
  const { task } = await bring();
  const { key } = await insertTeam(ground.rows, 'Others');
  const stranger = createDeleter(createTestClient({ url: ground.url, key }));
  expect(await stranger.deleteVideo(task.videoId)).toEqual(NOT_FOUND);
  expect(await stranger.deleteTask(task.id)).toEqual(NOT_FOUND);
  expect(await stranger.updateVideo({ id: task.videoId, name: 'Mine' })).toMatchObject({
    path: ['input', 'id'],
  });
  for (const id of ['', 'x', task.id, 'vid_']) expect(await deleter().deleteVideo(id)).toEqual(NOT_FOUND);
  expect((await ground.canceler.lookAtTask(task.id)).video?.name).toBe('one.mp4');
});

test('what is said of a video is changed: left out stays, null clears, metadata replaces all of it', async () => {
  const { task } = await bring({ name: 'First' });
  const id = task.videoId;
  const update = (change: object) => deleter().updateVideo({ id, ...change });
  expect(await update({ description: 'About', metadata: { reel: 1, take: '2' } })).toMatchObject({
    video: { name: 'First', description: 'About', metadata: { reel: 1, take: '2' } },
  });
  expect(await update({ name: 'Second', metadata: { take: true } })).toMatchObject({
    video: { name: 'Second', description: 'About', metadata: { take: true } },
  });
  expect(await update({ name: null, description: null, metadata: null })).toMatchObject({
    video: { name: 'one.mp4', description: null, metadata: null },
  });
  expect(await update({ name: '', description: 'x'.repeat(512), metadata: { duration: 1 } })).toEqual({
    __typename: 'InvalidInputError',
    issues: [
      { path: ['input', 'name'], code: 'TOO_SHORT' },
      { path: ['input', 'description'], code: 'TOO_LONG' },
      { path: ['input', 'metadata', 'duration'], code: 'RESERVED_KEY' },
    ],
  });
});
