import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createTestClient } from '../support/client.ts';
import { objectsIn } from '../support/oracle/objects.ts';
import { insertTeam, openRows } from '../support/rows.ts';
import { startS3 } from '../support/s3.ts';
import { waitFor } from '../support/wait.ts';
import { createCanceler, type Looked, named, taskOf } from './cancel-retry.ts';
import { sha256 } from './file-origin.ts';
import { bucketAt, createObjectImporter } from './object-imports.ts';
import { type ProvingGround, startProvingGround } from './proving-ground.ts';
import { keepStuckTasks, OPEN_STATUSES, type OpenStatus, stuckIn } from './stuck-tasks.ts';

let ground: ProvingGround;
let systems = 0;

beforeAll(async () => {
  // A worker hears of the end of its claim every two seconds: time enough for what is to be done before it does.
  ground = await startProvingGround({ settings: { SLUICE_LEASE_SECONDS: '6' } });
  await keepStuckTasks(ground.rows);
});

afterAll(async () => {
  await ground?.stop();
});

const proof = (work: () => Promise<void>) => () => ground.prove(work);
const put = (bytes = ground.freshContent()) => ground.origin.put({ bytes });
const newSystem = () => {
  systems += 1;
  return `tasks-${systems}`;
};

interface Brought {
  readonly bytes?: Buffer;
  readonly name?: string;
  readonly systemName?: string;
}

/** Starts an import of one video and waits until its task is as wished. */
async function bring(
  { bytes, name, systemName = newSystem() }: Brought,
  is: (task: Looked['tasks']['nodes'][number]) => boolean,
) {
  const video = { externalId: 'one', url: put(bytes), ...(name === undefined ? {} : { name }) };
  const { id } = await ground.canceler.start({ systemName, videos: [video] });
  const found = await ground.canceler.until(id, ({ tasks }) => tasks.nodes.some(is));
  return { id, task: named(found, 'one') };
}

const bringStuck = (status: OpenStatus, more: Brought = {}) =>
  bring({ ...more, name: stuckIn(status) }, (task) => task.status === status);
const waits = ({ waitingFor }: { readonly waitingFor: string | null }) => waitingFor === 'SAME_CONTENT';
const ended = ({ finishedAt }: { readonly finishedAt: string | null }) => finishedAt !== null;

test(
  'a task in any status that is none of an end ends as CANCELED, and the last one ends its import',
  proof(async () => {
    const stuck = OPEN_STATUSES.map((status) => ({ externalId: status, url: put(), name: stuckIn(status) }));
    const { id } = await ground.canceler.start({
      systemName: newSystem(),
      videos: [...stuck, { externalId: 'ready', url: put() }],
    });
    const before = await ground.canceler.until(
      id,
      (found) =>
        found.state === 'STARTED' &&
        found.counts.ready === 1 &&
        OPEN_STATUSES.every((one) => named(found, one).status === one),
    );
    for (const [count, status] of OPEN_STATUSES.entries()) {
      expect(await ground.canceler.look(id)).toMatchObject({ state: 'STARTED', finished: false });
      const was = named(before, status);
      const task = taskOf(await ground.canceler.cancelTask(was.id));
      expect(task).toMatchObject({ status: 'CANCELED', outcome: 'CANCELED', waitingFor: null, video: null });
      expect(task).toMatchObject({ attempts: was.attempts, reason: 'It was canceled.' });
      expect(taskOf(await ground.canceler.cancelTask(was.id))).toEqual(task);
      const { counts } = await ground.canceler.until(id, (found) => found.counts.canceled === count + 1);
      expect(counts.ready).toBe(1);
    }
    expect(await ground.canceler.end(id)).toMatchObject({
      state: 'SUCCEEDED',
      hasFailures: false,
      error: null,
    });
  }),
);

test(
  'an import of which all was canceled task by task has failed: nothing came in',
  proof(async () => {
    const { id, task } = await bringStuck('PENDING');
    await ground.canceler.cancelTask(task.id);
    const over = await ground.canceler.end(id);
    expect(over).toMatchObject({ state: 'FAILED', hasFailures: false, error: { code: 'NOTHING_CAME_IN' } });
  }),
);

test(
  'a task that has ended is returned as it is',
  proof(async () => {
    const bytes = ground.freshContent();
    const ready = await bring({ bytes }, ended);
    const skipped = await bring({ bytes }, ended);
    expect([ready.task.status, skipped.task.status]).toEqual(['READY', 'SKIPPED']);
    const doomed = await ground.canceler.createTask({ from: { url: ground.origin.missing } });
    expect(await ground.canceler.endOfTask(doomed)).toMatchObject({ status: 'FAILED' });
    for (const id of [ready.task.id, skipped.task.id, doomed]) {
      const before = await ground.canceler.lookAtTask(id);
      expect(taskOf(await ground.canceler.cancelTask(id))).toEqual(before);
      expect(await ground.canceler.lookAtTask(id)).toEqual(before);
    }
  }),
);

test(
  'an id that names nothing, or is another team’s, is not found',
  proof(async () => {
    const { task } = await bringStuck('QUEUED');
    const { key } = await insertTeam(ground.rows, 'Others');
    const stranger = createCanceler(createTestClient({ url: ground.url, key }));
    const notFound = { __typename: 'NotFoundError', path: ['id'] };
    expect(await stranger.cancelTask(task.id)).toMatchObject(notFound);
    expect(await stranger.retryTask(task.id)).toMatchObject(notFound);
    for (const wrong of [`task_${randomUUID()}`, 'task', task.id.replace('task_', 'imp_')]) {
      expect(await ground.canceler.cancelTask(wrong)).toMatchObject(notFound);
      expect(await ground.canceler.retryTask(wrong)).toMatchObject(notFound);
    }
    expect(await ground.canceler.lookAtTask(task.id)).toEqual(task);
    await ground.canceler.cancelTask(task.id);
  }),
);

test.each(['QUEUED', 'INDEXING'] as const)(
  'a video that a task in %s has made goes with its bytes, and who waited for its content goes on',
  async (status) => {
    await ground.prove(async () => {
      const bytes = ground.freshContent();
      const holder = await bringStuck(status, { bytes });
      expect(holder.task.video).toMatchObject({ sha256: sha256(bytes), indexedAt: null });
      const [first, second] = [await bring({ bytes }, waits), await bring({ bytes }, waits)];
      // One that only waits goes without a trace.
      expect(taskOf(await ground.canceler.cancelTask(first.task.id))).toMatchObject({ status: 'CANCELED' });
      expect(await ground.canceler.lookAtTask(second.task.id)).toEqual(second.task);
      expect(taskOf(await ground.canceler.cancelTask(holder.task.id))).toMatchObject({ video: null });
      const heir = await ground.canceler.endOfTask(second.task.id);
      expect(heir).toMatchObject({ status: 'READY', outcome: 'CREATED', video: { sha256: sha256(bytes) } });
      expect(await ground.rows.all('select from videos where sha256 = $1', [sha256(bytes)])).toHaveLength(1);
    });
  },
);

test.each(['QUEUED', 'INDEXING'] as const)(
  'an update whose task is canceled in %s stays as swapped',
  async (status) => {
    await ground.prove(async () => {
      const systemName = newSystem();
      const [older, newer] = [ground.freshContent(), ground.freshContent()];
      const created = await bring({ bytes: older, systemName }, ended);
      const { task } = await bringStuck(status, { bytes: newer, systemName });
      expect(taskOf(await ground.canceler.cancelTask(task.id))).toMatchObject({
        status: 'CANCELED',
        videoId: created.task.videoId,
        video: { sha256: sha256(newer) },
      });
      // What was swapped out is nobody's any more: it may come in again.
      expect((await bring({ bytes: older }, ended)).task).toMatchObject({
        status: 'READY',
        outcome: 'CREATED',
      });
    });
  },
);

test(
  'what a transfer writes that learns late of the end of its task goes, too',
  proof(async () => {
    const s3 = await startS3();
    onTestFinished(() => s3.stop());
    s3.createBucket('library');
    s3.put('library', 'video.mp4', ground.freshContent());
    const { rows, canceler } = ground;
    const integrationId = await createObjectImporter(ground.client).integrate(bucketAt(s3, 'library'));
    const object = { integrationId, key: 'video.mp4' };
    const writesLate = async (): Promise<boolean> => {
      const id = await canceler.createTask({ from: { object }, name: stuckIn('PENDING') });
      // Whoever holds this keeps the transfer between its beginning and its first byte.
      const keeper = await openRows(ground.databaseUrl);
      onTestFinished(() => keeper.close());
      await keeper.all('begin');
      await keeper.all('lock table integrations in access exclusive mode');
      await ground.release(id);
      await waitFor(async () => (await canceler.lookAtTask(id)).status === 'UPLOADING');
      expect(taskOf(await canceler.cancelTask(id))).toMatchObject({ status: 'CANCELED', attempts: 1 });
      await waitFor(
        async () =>
          (await rows.all(`select from jobs where kind = 'delete-objects' and run_at <= clock_timestamp()`))
            .length === 0,
      );
      await keeper.all('commit');
      const late = `/${id.slice('task_'.length)}/`;
      const isThere = async () => (await objectsIn(ground.storage).list()).some((key) => key.includes(late));
      return await waitFor(isThere, { timeout: 10_000 }).catch(() => false);
    };
    // On a slow machine its worker may notice before it has written anything.
    for (let tries = 1; !(await writesLate()); tries += 1)
      expect(tries, 'the bytes of a task that is over').toBeLessThan(5);
    // Its worker has noticed by the time that another task has come to its end.
    await bring({}, ended);
  }),
);
