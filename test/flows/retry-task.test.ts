import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { checkOracle } from '../support/oracle.ts';
import { openRows } from '../support/rows.ts';
import { startS3 } from '../support/s3.ts';
import { waitFor } from '../support/wait.ts';
import { named, taskOf } from './cancel-retry.ts';
import { raiseBarrier } from './large-imports.ts';
import { delayTransfers } from './late-jobs.ts';
import { expectAllKnown, follow } from './live.ts';
import { bytesByName, type Mood, type MoodyOrigin, startMoodyOrigin } from './moody-origin.ts';
import { allOf, bucketAt, createObjectImporter, isTransfer } from './object-imports.ts';
import { type ProvingGround, startProvingGround } from './proving-ground.ts';
import { keepStuckTasks, OPEN_STATUSES, stuckIn } from './stuck-tasks.ts';

let ground: ProvingGround;
let origin: MoodyOrigin;
/** How transfers of a name are answered; well unless it says otherwise. */
const moods = new Map<string, Mood>();
let systems = 0;

beforeAll(async () => {
  ground = await startProvingGround({ servers: 2 });
  origin = await startMoodyOrigin(bytesByName(ground.freshContent), (name, kind) =>
    kind === 'look' ? 'WELL' : (moods.get(name) ?? 'WELL'),
  );
});

afterAll(async () => {
  await origin?.close();
  await ground?.stop();
});

const proof = (work: () => Promise<void>) => () => ground.prove(work);

/** Starts an import of videos that are transferred in these moods. @returns its id, and the name of each at the origin */
async function start(wanted: Readonly<Record<string, Mood>>) {
  systems += 1;
  const systemName = `retried-${systems}`;
  const nameOf = (externalId: string) => `${systemName}-${externalId}`;
  for (const [externalId, mood] of Object.entries(wanted)) moods.set(nameOf(externalId), mood);
  const externalIds = Object.keys(wanted);
  const videos = externalIds.map((externalId) => ({ externalId, url: origin.url(nameOf(externalId)) }));
  const { id } = await ground.canceler.start({ systemName, videos });
  return { id, nameOf };
}

test(
  'one task of a finished import opens it again, and is the only one that runs',
  proof(async () => {
    const { id, nameOf } = await start({ a: 'GONE', b: 'GONE' });
    const before = await ground.canceler.end(id);
    expect(before).toMatchObject({ state: 'FAILED', counts: { failed: 2 } });
    moods.delete(nameOf('a'));
    // The answer is read while it has not come in yet.
    const letGo = await delayTransfers(ground.rows);
    onTestFinished(letGo);
    const task = taskOf(await ground.canceler.retryTask(named(before, 'a').id));
    expect(task).toMatchObject({ outcome: null, error: null, finishedAt: null });
    await letGo();
    const known = await follow(ground.client, { transport: 'server-sent events', id });
    await expectAllKnown(ground.rows, id, known);
    const after = await ground.canceler.look(id);
    expect(after).toMatchObject({ state: 'SUCCEEDED', hasFailures: true, runs: 2, error: null });
    expect(after.counts).toMatchObject({ ready: 1, failed: 1 });
    expect(named(after, 'a')).toMatchObject({ status: 'READY', attempts: 2 });
    expect(named(after, 'b')).toEqual(named(before, 'b'));
  }),
);

test(
  'one task of a running import runs again within the same run',
  proof(async () => {
    const { id, nameOf } = await start({ gone: 'GONE', drips: 'DRIPS' });
    const before = await ground.canceler.until(
      id,
      ({ counts }) => counts.failed === 1 && origin.open.has(nameOf('drips')),
    );
    moods.clear();
    taskOf(await ground.canceler.retryTask(named(before, 'gone').id));
    await ground.canceler.until(id, ({ counts }) => counts.ready === 1);
    taskOf(await ground.canceler.cancelTask(named(before, 'drips').id));
    const over = await ground.canceler.end(id);
    expect(over).toMatchObject({ state: 'SUCCEEDED', runs: 1, counts: { ready: 1, canceled: 1 } });
  }),
);

test(
  'a task without an import runs again, as often as it is asked for',
  proof(async () => {
    const url = origin.url('alone');
    moods.set('alone', 'GONE');
    const id = await ground.canceler.createTask({ from: { url } });
    for (const attempts of [1, 2, 3]) {
      expect(await ground.canceler.endOfTask(id)).toMatchObject({ status: 'FAILED', attempts });
      if (attempts === 3) moods.delete('alone');
      taskOf(await ground.canceler.retryTask(id));
    }
    expect(await ground.canceler.endOfTask(id)).toMatchObject({ status: 'READY', attempts: 4 });
  }),
);

test(
  'a task that runs or waits, that is READY or that was SKIPPED cannot be tried again',
  proof(async () => {
    const release = await keepStuckTasks(ground.rows);
    const { canceler } = ground;
    const stuck: (readonly [string, string])[] = [];
    for (const status of OPEN_STATUSES) {
      const from = { url: ground.origin.put({ bytes: ground.freshContent() }) };
      stuck.push([await canceler.createTask({ from, name: stuckIn(status) }), status]);
    }
    const url = ground.origin.put({ bytes: ground.freshContent() });
    const over: (readonly [string, string])[] = [];
    for (const status of ['READY', 'SKIPPED']) {
      const id = await canceler.createTask({ from: { url } });
      await canceler.endOfTask(id);
      over.push([id, status]);
    }
    for (const [id, status] of [...stuck, ...over]) {
      await waitFor(async () => (await canceler.lookAtTask(id)).status === status, { what: status });
      const refused = { __typename: 'TaskCannotBeRetriedError', status };
      expect(await canceler.retryTask(id)).toMatchObject(refused);
      expect(await canceler.lookAtTask(id)).toMatchObject({ status });
    }
    await release();
    for (const [id] of stuck) await canceler.cancelTask(id);
    // Tried again, each comes in by the way on which it was stuck.
    for (const [id] of stuck) taskOf(await canceler.retryTask(id));
    for (const [id] of stuck) expect(await canceler.endOfTask(id)).toMatchObject({ status: 'READY' });
  }),
);

test(
  'of many calls at once on two servers, one queues the task',
  proof(async () => {
    const { id, nameOf } = await start({ gone: 'GONE' });
    const { id: taskId } = named(await ground.canceler.end(id), 'gone');
    moods.set(nameOf('gone'), 'DRIPS');
    const calls = [0, 1, 0, 1].map(async (server) => ground.cancelers[server]?.retryTask(taskId));
    const names = (await Promise.all(calls)).map((result) => result?.__typename);
    expect(names.filter((name) => name === 'RetryTaskSuccess')).toHaveLength(1);
    expect(names.filter((name) => name === 'TaskCannotBeRetriedError')).toHaveLength(3);
    await waitFor(() => origin.open.has(nameOf('gone')));
    await ground.canceler.cancelTask(taskId);
    expect(await ground.canceler.end(id)).toMatchObject({ runs: 2, counts: { canceled: 1 } });
  }),
);

test(
  'a task of an integration’s import is not tried again while another import runs from it',
  proof(async () => {
    const s3 = await startS3();
    onTestFinished(() => s3.stop());
    s3.createBucket('library');
    s3.put('library', 'video.mp4', ground.freshContent());
    let status: 403 | 503 = 403;
    s3.script((request) => (isTransfer(request) ? { status } : undefined));
    const integration = await createObjectImporter(ground.client).integrate(bucketAt(s3, 'library'));
    const all = allOf(integration, { retryFailed: true });
    const first = await ground.canceler.startWith(all);
    const [task] = (await ground.canceler.end(first.id)).tasks.nodes;
    // Refused, a transfer is tried again and again: the import goes on for as long as is wished.
    status = 503;
    const second = await ground.canceler.startWith(all);
    const refused = { __typename: 'ImportAlreadyRunningError', runningImport: { id: second.id } };
    expect(await ground.canceler.retryTask(task?.id ?? '')).toMatchObject(refused);
    status = 403;
    await ground.canceler.end(second.id);
    const letGo = await delayTransfers(ground.rows);
    onTestFinished(letGo);
    expect(taskOf(await ground.canceler.retryTask(task?.id ?? ''))).toMatchObject({ attempts: 1 });
    await letGo();
    expect(await ground.canceler.end(first.id)).toMatchObject({ runs: 2, counts: { failed: 1 } });
  }),
);

// The statement that finishes an import decides by what was open before it waited for the import's row.
test('an import does not finish over a task that is tried again at that instant', async () => {
  const own = await startProvingGround();
  onTestFinished(() => own.stop());
  const observer = await openRows(own.databaseUrl);
  onTestFinished(() => observer.close());
  await keepStuckTasks(own.rows);
  const videos = ['a', 'b'].map((externalId) => ({
    externalId,
    url: own.origin.put({ bytes: own.freshContent() }),
    name: stuckIn('QUEUED'),
  }));
  const { id } = await own.canceler.start({ systemName: 'instant', videos });
  const found = await own.canceler.until(id, ({ counts }) => counts.queued === 2);
  await own.canceler.cancelTask(named(found, 'a').id);
  const barrier = await raiseBarrier(own.rows, { ordinal: 0, status: 'PENDING' });
  const retrying = own.canceler.retryTask(named(found, 'a').id);
  await waitFor(() => barrier.reached());
  const canceling = own.canceler.cancelTask(named(found, 'b').id);
  const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and wait_event <> 'advisory'`;
  await waitFor(async () => (await observer.all(waiting)).length > 0, { what: 'who waits for the import' });
  await barrier.lift();
  await Promise.all([retrying, canceling]);
  const faults = await checkOracle({ databaseUrl: own.databaseUrl });
  expect(faults.filter((fault) => fault.includes('finished with'))).toEqual([]);
});
