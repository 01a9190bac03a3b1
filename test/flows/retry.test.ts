import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createTestClient } from '../support/client.ts';
import { insertTeam } from '../support/rows.ts';
import { startS3 } from '../support/s3.ts';
import { waitFor } from '../support/wait.ts';
import { createCanceler, importOf, named } from './cancel-retry.ts';
import { delayTransfers } from './late-jobs.ts';
import { expectAllKnown, follow } from './live.ts';
import { bytesByName, type Mood, type MoodyOrigin, startMoodyOrigin } from './moody-origin.ts';
import { allOf, bucketAt, createObjectImporter, isTransfer } from './object-imports.ts';
import { type ProvingGround, startProvingGround } from './proving-ground.ts';

const ROUNDS = 5;

let ground: ProvingGround;
let origin: MoodyOrigin;
/** How transfers of a name are answered; well unless it says otherwise. */
const moods = new Map<string, Mood>();
let systems = 0;

beforeAll(async () => {
  ground = await startProvingGround({ servers: 2, settings: { SLUICE_PLAN_SECONDS: '1' } });
  origin = await startMoodyOrigin(bytesByName(ground.freshContent), (name, kind) => {
    if (name.endsWith('missing')) return 'GONE';
    return kind === 'look' ? 'WELL' : (moods.get(name) ?? 'WELL');
  });
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
  const videos = Object.keys(wanted).map((externalId) => ({
    externalId,
    url: origin.url(nameOf(externalId)),
  }));
  const { id } = await ground.canceler.start({ systemName, videos });
  return { id, nameOf };
}

test(
  'what failed or was canceled comes in, what came in stays, and what was rejected stays rejected',
  proof(async () => {
    const { id, nameOf } = await start({ good: 'WELL', gone: 'GONE', drips: 'DRIPS', missing: 'GONE' });
    await ground.canceler.until(
      id,
      ({ counts }) => origin.open.has(nameOf('drips')) && counts.ready === 1 && counts.failed === 1,
    );
    await ground.canceler.cancel(id);
    const before = await ground.canceler.end(id);
    expect(before).toMatchObject({ state: 'CANCELED', runs: 1, hasFailures: true });
    moods.clear();
    // The answer is read while nothing has come in yet.
    const letGo = await delayTransfers(ground.rows);
    onTestFinished(letGo);
    const again = importOf(await ground.canceler.retry(id));
    expect(again).toMatchObject({ id, state: 'STARTED', finished: false, finishedAt: null, runs: 2 });
    expect(again).toMatchObject({ error: null, counts: { found: 4, rejected: 1 } });
    await letGo();
    // Counts of a running import may be a second old.
    await ground.canceler.until(id, ({ counts }) => counts.failed === 0 && counts.canceled === 0);
    const known = await follow(ground.client, { transport: 'WebSocket', id });
    await expectAllKnown(ground.rows, id, known);
    const after = await ground.canceler.look(id);
    expect(after).toMatchObject({
      state: 'SUCCEEDED',
      hasFailures: true,
      runs: 2,
      counts: { found: 4, rejected: 1, ready: 3, failed: 0, canceled: 0 },
    });
    expect(named(after, 'good')).toEqual(named(before, 'good'));
    for (const name of ['gone', 'drips']) {
      const [was, is] = [named(before, name), named(after, name)];
      expect(was).toMatchObject({ attempts: 1 });
      expect(is).toMatchObject({ id: was.id, videoId: was.videoId, status: 'READY', outcome: 'CREATED' });
      expect(is).toMatchObject({ attempts: 2, error: null, reason: null, progress: { fraction: 1 } });
      expect(is.stages.every(({ state }) => state === 'DONE')).toBe(true);
    }
    expect(await ground.canceler.retry(id)).toMatchObject({ state: 'SUCCEEDED' });
  }),
);

test(
  'a task that is tried again waits as one that never ran, but for its attempts',
  proof(async () => {
    const { id, nameOf } = await start({ gone: 'GONE' });
    const before = await ground.canceler.end(id);
    expect(before).toMatchObject({ state: 'FAILED', error: { code: 'NOTHING_CAME_IN' } });
    expect(named(before, 'gone')).toMatchObject({ status: 'FAILED', error: { code: 'SOURCE_NOT_FOUND' } });
    // Its job is seen before anybody takes it.
    const letGo = await delayTransfers(ground.rows);
    onTestFinished(letGo);
    moods.delete(nameOf('gone'));
    await ground.canceler.retry(id);
    const task = named(await ground.canceler.look(id), 'gone');
    expect(task).toMatchObject({ status: 'PENDING', waitingFor: 'WORKER', nextAttemptAt: null, attempts: 1 });
    expect(task).toMatchObject({ outcome: null, error: null, reason: null, finishedAt: null });
    expect(task.stages.every(({ state }) => state === 'WAITING')).toBe(true);
    await letGo();
    expect(await ground.canceler.end(id)).toMatchObject({ state: 'SUCCEEDED', error: null });
  }),
);

test(
  'what was canceled while it was looked at comes in, too',
  proof(async () => {
    systems += 1;
    const names = ['a', 'b', 'c'].map((name) => `undecided-${systems}-${name}`);
    let mood: Mood = 'DRIPS';
    const slow = await startMoodyOrigin(bytesByName(ground.freshContent), () => mood);
    onTestFinished(() => slow.close());
    const videos = names.map((externalId) => ({ externalId, url: slow.url(externalId) }));
    const { id } = await ground.canceler.start({ systemName: 'undecided', videos });
    await waitFor(() => slow.open.size > 0);
    expect(importOf(await ground.canceler.cancel(id)).counts).toMatchObject({ canceled: 3 });
    mood = 'WELL';
    const letGo = await delayTransfers(ground.rows);
    onTestFinished(letGo);
    expect(importOf(await ground.canceler.retry(id))).toMatchObject({ state: 'STARTED', runs: 2 });
    await letGo();
    const over = await ground.canceler.end(id);
    expect(over).toMatchObject({ state: 'SUCCEEDED', counts: { ready: 3 } });
    expect(over.tasks.nodes.map(({ attempts }) => attempts)).toEqual([1, 1, 1]);
  }),
);

test(
  'an import that has not finished, or has nothing to try again, cannot be retried; another team’s is not found',
  proof(async () => {
    const { canceler, rows } = ground;
    const { id, nameOf } = await start({ drips: 'DRIPS' });
    await canceler.until(id, ({ state }) => state === 'STARTED' && origin.open.has(nameOf('drips')));
    const refused = { __typename: 'ImportCannotBeRetriedError' };
    expect(await canceler.retry(id)).toMatchObject({ ...refused, state: 'STARTED' });
    await canceler.cancel(id);
    const { key } = await insertTeam(rows, 'Others');
    const stranger = createCanceler(createTestClient({ url: ground.url, key }));
    const notFound = { __typename: 'NotFoundError', path: ['id'] };
    expect(await stranger.retry(id)).toMatchObject(notFound);
    for (const wrong of [`imp_${randomUUID()}`, 'imp', ''])
      expect(await canceler.retry(wrong)).toMatchObject(notFound);
    expect(await canceler.look(id)).toMatchObject({ state: 'CANCELED', runs: 1 });
    const good = await start({ good: 'WELL' });
    await canceler.end(good.id);
    expect(await canceler.retry(good.id)).toMatchObject({ ...refused, state: 'SUCCEEDED' });
    const rejected = await start({ missing: 'GONE' });
    await canceler.end(rejected.id);
    expect(await canceler.retry(rejected.id)).toMatchObject({ ...refused, state: 'FAILED' });
  }),
);

test(
  'of many calls at once on several servers, one opens the import again',
  proof(async () => {
    const [one, two] = ground.cancelers;
    for (let round = 0; round < ROUNDS; round += 1) {
      const { id, nameOf } = await start({ gone: 'GONE', good: 'WELL' });
      await ground.canceler.end(id);
      moods.delete(nameOf('gone'));
      const results = await Promise.all([one, two, one, two].map(async (canceler) => canceler?.retry(id)));
      const names = results.map((result) => result?.__typename);
      expect(names.filter((name) => name === 'RetryImportSuccess')).toHaveLength(1);
      expect(names.filter((name) => name === 'ImportCannotBeRetriedError')).toHaveLength(3);
      const over = await ground.canceler.end(id);
      expect(over).toMatchObject({ state: 'SUCCEEDED', runs: 2 });
      expect(named(over, 'gone')).toMatchObject({ status: 'READY', attempts: 2 });
    }
  }),
);

test(
  'one import at a time runs from an integration, whether it is new or tried again',
  proof(async () => {
    const s3 = await startS3();
    onTestFinished(() => s3.stop());
    s3.createBucket('library');
    s3.put('library', 'video.mp4', ground.freshContent());
    let status: 403 | 503 = 403;
    s3.script((request) => (isTransfer(request) ? { status } : undefined));
    const integration = await createObjectImporter(ground.client).integrate(bucketAt(s3, 'library'));
    const all = allOf(integration, { retryFailed: true });
    const ids: string[] = [];
    for (let count = 0; count < 2; count += 1) {
      const { id } = await ground.canceler.startWith(all);
      expect(await ground.canceler.end(id)).toMatchObject({ state: 'FAILED', counts: { failed: 1 } });
      ids.push(id);
    }
    const [one, two] = ground.cancelers;
    for (let round = 0; round < ROUNDS; round += 1) {
      // Refused, a transfer is tried again and again: the import goes on for as long as is wished.
      status = 503;
      const calls = [one?.retry(ids[round % 2] ?? ''), two?.retry(ids[1 - (round % 2)] ?? '')];
      const results = await Promise.all(calls);
      const winner = results.find((result) => result?.__typename === 'RetryImportSuccess');
      const loser = results.find((result) => result !== winner);
      const { id } = importOf(winner ?? { __typename: 'nobody' });
      expect(loser).toMatchObject({ __typename: 'ImportAlreadyRunningError', runningImport: { id } });
      await expect(ground.canceler.startWith(all)).rejects.toThrow('ImportAlreadyRunningError');
      status = 403;
      await ground.canceler.end(id);
    }
  }),
);

test(
  'what is left of an earlier cancellation does not end what is tried again',
  proof(async () => {
    const { id, nameOf } = await start({ drips: 'DRIPS' });
    await ground.canceler.until(id, () => origin.open.has(nameOf('drips')));
    await ground.canceler.cancel(id);
    // Its process died after its last task had ended, and before it said so.
    const { team_id: teamId } = await ground.rows.one<{ team_id: string }>(
      'select team_id from imports where id = $1',
      [id.slice('imp_'.length)],
    );
    await ground.rows.all(
      `insert into jobs (id, kind, subject_id, team_id, payload, owner, lease_until)
       values (gen_random_uuid(), 'cancel-import', $1, $2, '{}', gen_random_uuid(), now() + interval '1 second')`,
      [id.slice('imp_'.length), teamId],
    );
    importOf(await ground.canceler.retry(id));
    await ground.canceler.until(id, ({ tasks }) => tasks.nodes.every(({ attempts }) => attempts === 2));
    const jobs = () => ground.rows.all(`select from jobs where kind = 'cancel-import'`);
    await waitFor(async () => (await jobs()).length === 0);
    moods.delete(nameOf('drips'));
    expect(importOf(await ground.canceler.cancel(id))).toMatchObject({ state: 'CANCELED', runs: 2 });
    importOf(await ground.canceler.retry(id));
    expect(await ground.canceler.end(id)).toMatchObject({ state: 'SUCCEEDED', runs: 3 });
  }),
);
