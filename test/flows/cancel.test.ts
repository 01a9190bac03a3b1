import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createTestClient } from '../support/client.ts';
import { insertTeam } from '../support/rows.ts';
import { startS3 } from '../support/s3.ts';
import { waitFor } from '../support/wait.ts';
import { createCanceler, importOf, named } from './cancel-retry.ts';
import { expectAllKnown, follow, nothing } from './live.ts';
import { bytesByName, startMoodyOrigin } from './moody-origin.ts';
import { allOf, bucketAt, createObjectImporter } from './object-imports.ts';
import { type ProvingGround, startProvingGround } from './proving-ground.ts';
import { keepStuckTasks, OPEN_STATUSES, stuckIn } from './stuck-tasks.ts';

let ground: ProvingGround;
let imports = 0;

beforeAll(async () => {
  ground = await startProvingGround({ servers: 2, settings: { SLUICE_PLAN_SECONDS: '0.5' } });
  await keepStuckTasks(ground.rows);
});

afterAll(async () => {
  await ground?.stop();
});

const proof = (work: () => Promise<void>) => () => ground.prove(work);
const put = (bytes = ground.freshContent()) => ground.origin.put({ bytes, etag: `"${imports}"` });
const systemName = () => {
  imports += 1;
  return `canceled-${imports}`;
};

/** An import of one video in each status that is none of an end, one that has come in and one that was rejected. */
async function startStuck() {
  const stuck = OPEN_STATUSES.map((status) => ({ externalId: status, url: put(), name: stuckIn(status) }));
  const others = [
    { externalId: 'ready', url: put() },
    { externalId: 'missing', url: ground.origin.missing },
  ];
  const { id } = await ground.canceler.start({ systemName: systemName(), videos: [...stuck, ...others] });
  const isStuck = (found: Awaited<ReturnType<typeof ground.canceler.look>>) =>
    found.state === 'STARTED' &&
    named(found, 'ready').status === 'READY' &&
    OPEN_STATUSES.every((status) => named(found, status).status === status);
  return await ground.canceler.until(id, isStuck);
}

test(
  'wherever tasks are, they end as CANCELED at once, with their import; what has ended stays',
  proof(async () => {
    const before = await startStuck();
    const { id } = before;
    const known = nothing();
    const following = follow(ground.client, { transport: 'WebSocket', id, known });
    await waitFor(() => known.events.length > 0);
    const canceled = importOf(await ground.canceler.cancel(id));
    expect(canceled).toMatchObject({
      state: 'CANCELED',
      finished: true,
      runs: 1,
      hasFailures: true,
      error: null,
      counts: { found: 7, undecided: 0, rejected: 1, ready: 1, canceled: 5, failed: 0, skipped: 0 },
      progress: { fraction: 1 },
    });
    const after = await ground.canceler.look(id);
    for (const status of OPEN_STATUSES) {
      const [was, is] = [named(before, status), named(after, status)];
      expect(is).toMatchObject({ status: 'CANCELED', outcome: 'CANCELED', skipReason: null, error: null });
      expect(is).toMatchObject({
        waitingFor: null,
        nextAttemptAt: null,
        video: null,
        attempts: was.attempts,
      });
      expect(is.reason).toBe('It was canceled.');
      expect(is.finishedAt).not.toBeNull();
      expect(is.progress.fraction).toBeGreaterThanOrEqual(was.progress.fraction);
      expect(is.progress.fraction).toBeLessThan(1);
      const running = was.stages.filter(({ state }) => state === 'RUNNING').map(({ name }) => name);
      expect(is.stages.filter(({ state }) => state === 'CANCELED').map(({ name }) => name)).toEqual(running);
      expect(is.stages.some(({ state }) => state === 'WAITING' || state === 'RUNNING')).toBe(false);
    }
    expect(named(after, 'ready')).toEqual(named(before, 'ready'));
    await following;
    await expectAllKnown(ground.rows, id, known);
    expect(known.events.at(-1)?.import.state).toBe('CANCELED');
    expect([...known.tasks.values()].filter(({ status }) => status === 'CANCELED')).toHaveLength(5);
  }),
);

test(
  'the call may be made by many at once, on several servers: the import ends once, and all are told so',
  proof(async () => {
    const { id } = await startStuck();
    const [one, two] = ground.cancelers;
    const calls = [one, two, one, two].map(async (canceler) => canceler?.cancel(id));
    for (const result of await Promise.all(calls)) {
      expect(importOf(result ?? { __typename: 'nobody' })).toMatchObject({ state: 'CANCELED' });
    }
    const over = await ground.canceler.end(id);
    expect(over.counts).toMatchObject({ canceled: 5, ready: 1, rejected: 1 });
    expect(importOf(await ground.canceler.cancel(id))).toEqual(importOf(await ground.canceler.cancel(id)));
    expect(await ground.canceler.look(id)).toEqual(over);
  }),
);

test(
  'an import that has finished is returned as it is',
  proof(async () => {
    const { canceler, origin } = ground;
    const good = await canceler.start({
      systemName: systemName(),
      videos: [{ externalId: 'a', url: put() }],
    });
    const bad = await canceler.start({
      systemName: systemName(),
      videos: [{ externalId: 'a', url: origin.missing }],
    });
    for (const { id } of [good, bad]) {
      const { tasks, failedFiles, ...before } = await canceler.end(id);
      expect(importOf(await canceler.cancel(id))).toEqual(before);
      expect(await canceler.look(id)).toEqual({ ...before, tasks, failedFiles });
    }
  }),
);

test(
  'an id that names nothing, or another type, or is another team’s, is not found, and nothing is stopped',
  proof(async () => {
    const { rows, url, canceler } = ground;
    const { id } = await startStuck();
    const other = await insertTeam(rows, 'Others');
    const stranger = createCanceler(createTestClient({ url, key: other.key }));
    const notFound = { __typename: 'NotFoundError', path: ['id'] };
    expect(await stranger.cancel(id)).toMatchObject(notFound);
    for (const wrong of [`imp_${randomUUID()}`, 'imp_1', '', id.replace('imp_', 'task_')]) {
      expect(await canceler.cancel(wrong)).toMatchObject(notFound);
    }
    expect(await canceler.look(id)).toMatchObject({ state: 'STARTED', counts: { canceled: 0 } });
    await canceler.cancel(id);
  }),
);

test(
  'while named videos are looked at, those without a verdict become tasks that are CANCELED',
  proof(async () => {
    const names = Array.from({ length: 12 }, (_, n) => `v${n}`);
    const slow = new Set(names.slice(1));
    const origin = await startMoodyOrigin(bytesByName(ground.freshContent), (name) =>
      slow.has(name) ? 'DRIPS' : 'WELL',
    );
    onTestFinished(() => origin.close());
    const videos = names.map((externalId) => ({ externalId, url: origin.url(externalId) }));
    const { id, state } = await ground.canceler.start({ systemName: systemName(), videos });
    expect(state).toBe('PLANNING');
    const known = nothing();
    const following = follow(ground.client, { transport: 'server-sent events', id, known });
    await ground.canceler.until(id, ({ counts }) => counts.ready === 1 && origin.open.size > 0);
    const canceled = importOf(await ground.canceler.cancel(id));
    expect(canceled).toMatchObject({ state: 'CANCELED', finished: true, hasFailures: false });
    expect(canceled.counts).toMatchObject({ found: 12, undecided: 0, ready: 1, canceled: 11 });
    expect(canceled.startedAt).not.toBeNull();
    const { tasks } = await ground.canceler.look(id);
    expect(tasks.nodes.map(({ externalId }) => externalId)).toEqual(names);
    const [, undecided] = tasks.nodes;
    expect(undecided).toMatchObject({
      status: 'CANCELED',
      attempts: 0,
      reason: 'It was canceled.',
      video: null,
    });
    expect(undecided?.stages.every((stage) => stage.state === 'SKIPPED')).toBe(true);
    await following;
    await expectAllKnown(ground.rows, id, known);
    // Nothing of it is looked at any more, though there is nothing to keep the others from it.
    await waitFor(() => origin.open.size === 0, { what: 'the end of the looks' });
    slow.clear();
    const asked = origin.requests.length;
    const next = await ground.canceler.start({
      systemName: systemName(),
      videos: [{ externalId: 'next', url: put() }],
    });
    await ground.canceler.end(next.id);
    expect(origin.requests).toHaveLength(asked);
  }),
);

test(
  'while a source is listed, what is not listed is not found, and the source is free for the next import',
  proof(async () => {
    const s3 = await startS3();
    onTestFinished(() => s3.stop());
    s3.createBucket('library');
    s3.fill('library', 30_000, (n) => ({ key: `${String(n).padStart(6, '0')}.mp4`, size: 0 }));
    const importer = createObjectImporter(ground.client);
    const integration = await importer.integrate(bucketAt(s3, 'library'));
    let pages = 0;
    // It never comes to its end, however late the call.
    const hold = s3.script(({ operation }) => {
      if (operation === 'ListObjectsV2') pages += 1;
      return pages > 5 ? { hang: true } : undefined;
    });
    const { id } = await ground.canceler.startWith(allOf(integration));
    await ground.canceler.until(id, ({ counts }) => counts.found >= 3000);
    const canceled = importOf(await ground.canceler.cancel(id));
    expect(canceled).toMatchObject({ state: 'CANCELED', finished: true, hasFailures: true });
    const { found, rejected } = canceled.counts;
    expect(found).toBeLessThan(30_000);
    expect(canceled.counts).toMatchObject({ undecided: 0, canceled: found - rejected });
    hold();
    s3.requests.length = 0;
    const second = await ground.canceler.startWith(allOf(integration, { prefix: '00000' }));
    expect(second.id).not.toBe(id);
    expect(await ground.canceler.end(second.id)).toMatchObject({ state: 'FAILED', counts: { found: 10 } });
    const listed = s3.requests.filter(({ operation }) => operation === 'ListObjectsV2');
    // At most the one that was on its way.
    expect(listed.filter(({ query }) => query.get('prefix') !== '00000').length).toBeLessThanOrEqual(1);
    expect(await ground.canceler.look(id)).toMatchObject(canceled);
  }),
);

test(
  'transfers that are going on are broken off, and their bytes go',
  proof(async () => {
    const origin = await startMoodyOrigin(bytesByName(ground.freshContent), (_name, kind) =>
      kind === 'transfer' ? 'DRIPS' : 'WELL',
    );
    onTestFinished(() => origin.close());
    const videos = ['a', 'b', 'c'].map((externalId) => ({ externalId, url: origin.url(externalId) }));
    const { id } = await ground.canceler.start({ systemName: systemName(), videos });
    await ground.canceler.until(
      id,
      ({ tasks }) => origin.open.size === 3 && tasks.nodes.every(({ progress }) => progress.bytesDone > 0),
    );
    expect(importOf(await ground.canceler.cancel(id))).toMatchObject({ finished: true });
    const asked = origin.requests.length;
    await waitFor(() => origin.open.size === 0, { what: 'the end of the transfers' });
    expect(origin.requests).toHaveLength(asked);
  }),
);
