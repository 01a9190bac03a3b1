import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createTestClient } from '../support/client.ts';
import { createTestDatabase } from '../support/database.ts';
import { finishDeletions } from '../support/oracle/deletions.ts';
import { startSampler } from '../support/oracle/sampler.ts';
import { checkOracle, installOracle } from '../support/oracle.ts';
import { createDataDir, type RunningServer, startServer } from '../support/process.ts';
import { firstTeam, openRows } from '../support/rows.ts';
import { serverSettings, TEST_KEY } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { type Canceler, createCanceler, importOf } from './cancel-retry.ts';
import { makeContents, startFileOrigin } from './file-origin.ts';
import { insertLargeImport, raiseBarrier } from './large-imports.ts';
import { follow, nothing } from './live.ts';

/** A database with an oracle, and servers that are processes of their own, one after the other. */
async function prepare() {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  const dataDir = await createDataDir();
  const settings = serverSettings({
    databaseUrl: database.url,
    dataDir,
    // What it says at its start is waited for.
    SLUICE_LOG_LEVEL: 'info',
    SLUICE_TRANSFER_CONCURRENCY: '16',
  });
  const start = async () => {
    const server = await startServer(settings);
    const client = createTestClient({ url: server.url, key: TEST_KEY });
    return { server, client, canceler: createCanceler(client) };
  };
  const first = await start();
  const rows = await openRows(database.url);
  onTestFinished(() => rows.close());
  await installOracle(database.url);
  const sampler = await startSampler(database.url);
  onTestFinished(async () => void (await sampler.stop().catch(() => {})));
  return {
    ...first,
    rows,
    start,
    team: await firstTeam(rows, TEST_KEY),
    /** When all is over, and the last server still runs. */
    async expectGreen() {
      await finishDeletions(database.url);
      const storage = join(dataDir, 'media');
      expect(await checkOracle({ databaseUrl: database.url, storage, sampler })).toEqual([]);
    },
  };
}

/** Ends a server at once, and what it was asked. */
async function kill(server: RunningServer, call: Promise<unknown>): Promise<void> {
  await Promise.all([server.end('SIGKILL'), call.catch(() => {})]);
}

/** Brings one video in. @returns its content's SHA-256 */
async function bringOne(canceler: Canceler): Promise<string> {
  const origin = await startFileOrigin();
  onTestFinished(() => origin.close());
  const bytes = (await makeContents())();
  const id = await canceler.createTask({ from: { url: origin.put({ bytes }) } });
  expect(await canceler.endOfTask(id)).toMatchObject({ status: 'READY' });
  return createHash('sha256').update(bytes).digest('hex');
}

test('ten thousand waiting tasks are canceled within one call', async () => {
  const { canceler, client, rows, team, expectGreen } = await prepare();
  const id = await insertLargeImport(rows, team, { tasks: 10_000, status: 'PENDING' });
  const known = nothing();
  const following = follow(client, { transport: 'WebSocket', id, known });
  await waitFor(() => known.tasks.size === 10_000, { what: 'the snapshot', timeout: 60_000 });
  const canceled = importOf(await canceler.cancel(id));
  expect(canceled).toMatchObject({ state: 'CANCELED' });
  const over = await canceler.end(id);
  expect(over.counts).toMatchObject({ found: 10_000, canceled: 10_000, pending: 0 });
  await following;
  expect(known.complete).toBe(true);
  expect([...known.tasks.values()].every(({ status }) => status === 'CANCELED')).toBe(true);
  await expectGreen();
}, 180_000);

test('a cancellation goes on in another process when its own is killed in the middle', async () => {
  const { server, canceler, rows, team, start, expectGreen } = await prepare();
  const id = await insertLargeImport(rows, team, { tasks: 10_000, status: 'PENDING' });
  const barrier = await raiseBarrier(rows, { ordinal: 3500, status: 'CANCELED' });
  const call = canceler.cancel(id);
  await waitFor(() => barrier.reached());
  const midway = await canceler.look(id);
  expect(midway).toMatchObject({ state: 'CANCELED', finished: false });
  await kill(server, call);
  await barrier.lift();
  const next = await start();
  const over = await next.canceler.end(id);
  expect(over.counts).toMatchObject({ found: 10_000, canceled: 10_000 });
  await expectGreen();
}, 180_000);

test('a retry goes on in another process when its own is killed in the middle, and queues each task once', async () => {
  const { server, canceler, rows, team, start, expectGreen } = await prepare();
  const sha256 = await bringOne(canceler);
  const id = await insertLargeImport(rows, team, { tasks: 1300, status: 'CANCELED', sha256 });
  const barrier = await raiseBarrier(rows, { ordinal: 1150, status: 'PENDING' });
  const call = canceler.retry(id);
  await waitFor(() => barrier.reached());
  expect(await canceler.look(id)).toMatchObject({ state: 'STARTED', runs: 2, finished: false });
  await kill(server, call);
  await barrier.lift();
  const next = await start();
  const over = await waitFor(
    async () => {
      const found = await next.canceler.look(id);
      return found.finished && found;
    },
    { timeout: 240_000, what: 'the end of the retry' },
  );
  expect(over).toMatchObject({ state: 'SUCCEEDED', runs: 2, counts: { found: 1300, skipped: 1300 } });
  const again = await rows.all<{ n: number }>(`
    select count(*)::int as n from oracle.changes
     where tab = 'tasks' and old ->> 'status' = 'CANCELED' and new ->> 'status' = 'PENDING' group by id`);
  expect(again).toHaveLength(1300);
  expect(again.every(({ n }) => n === 1)).toBe(true);
  await expectGreen();
}, 360_000);
