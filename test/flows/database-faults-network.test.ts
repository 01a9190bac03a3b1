import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { startOwnPostgres } from '../support/own-postgres.ts';
import { startPoolingProxy } from '../support/pooling-proxy.ts';
import { createDataDir } from '../support/process.ts';
import { openRows } from '../support/rows.ts';
import { startSilence } from '../support/silence.ts';
import { createTcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait.ts';
import {
  endProcess,
  expectEnd,
  importClips,
  serveClips,
  startProcess,
  untilKnown,
  watchDatabase,
} from './database-faults.ts';

const NO_NOTIFICATIONS = 'notifications of the database do not arrive';
const BACK = 'the connection for notifications is there again';
/** How often a server looks whether notifications arrive, from its start on. */
const LOOK_MS = 30_000;

async function createDatabase(): Promise<string> {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  await watchDatabase(database.url);
  return database.url;
}

test('a LISTEN connection that goes silent is found and replaced, and nothing is missed meanwhile', async () => {
  const databaseUrl = await createDatabase();
  const proxy = await createTcpProxy(databaseUrl);
  onTestFinished(() => proxy.close());
  const dataDir = await createDataDir();
  const [silence, clips] = [await startSilence(), await serveClips(6, 0.5)];
  const began = performance.now();
  const server = await startProcess({ dataDir, LISTEN_DATABASE_URL: proxy.url }, databaseUrl);
  clips.origin.endings = 4;
  const followed = await importClips(server.client, clips);
  await untilKnown(followed, 4);
  proxy.freeze();
  // Where the silence is found before the end, nothing is told over another connection either.
  proxy.redirect(silence.url);
  clips.origin.endings = 2;
  await waitFor(followed.isOver, { what: 'the end of the import' });
  expect(server.said(BACK)).toBe(0);
  await expectEnd(followed, { clips: 6, databaseUrl, dataDir });
  const before = proxy.accepted();
  proxy.redirect(databaseUrl);
  silence.cut();
  // Ten seconds to a ping, five to its answer, and some for a busy machine.
  await waitFor(() => server.said(BACK) === 1, { what: 'a new connection' });
  expect(proxy.accepted()).toBe(before + 1);
  expect(await server.ready()).toMatchObject({ status: 200, text: '{"status":"ok"}' });
  // A look while it was silent has found out the truth.
  if (performance.now() - began < LOOK_MS) expect(server.said(NO_NOTIFICATIONS)).toBe(0);
  await endProcess(server);
});

test('behind a proxy that pools by transaction it says once that it looks for changes, and finds all of them', async () => {
  const databaseUrl = await createDatabase();
  const proxy = await startPoolingProxy(databaseUrl);
  onTestFinished(() => proxy.close());
  const dataDir = await createDataDir();
  const [api, worker] = await Promise.all([
    startProcess({ role: 'api', dataDir }, proxy.url),
    startProcess({ role: 'worker', dataDir }, proxy.url),
  ]);
  for (const process of [api, worker]) {
    await waitFor(() => process.said(NO_NOTIFICATIONS) === 1);
    // Without it everything works, if more slowly.
    expect(await process.ready()).toMatchObject({
      status: 200,
      text: '{"status":"ok","degraded":["notifications"]}',
    });
  }
  expect(api.said('refuses a limit to the time of statements')).toBe(1);
  const rows = await openRows(databaseUrl);
  onTestFinished(() => rows.close());
  const followed = await importClips(api.client, await serveClips(6, 0.2));
  // Nobody tells the worker of jobs, nor the API of what it does.
  await untilKnown(followed, 1);
  const open = 'select from tasks where finished_at is null';
  await waitFor(async () => (await rows.all(open)).length === 0);
  await waitFor(followed.isOver, { what: 'what was to be found by looking for it' });
  await expectEnd(followed, { clips: 6, databaseUrl, dataDir });
  expect(followed.reconnects()).toBe(0);
  expect(proxy.switches()).toBeGreaterThan(0);
  for (const process of [api, worker]) {
    expect(process.said(NO_NOTIFICATIONS)).toBe(1);
    await endProcess(process);
  }
});

test('with a direct connection for notifications nothing is slower behind such a proxy', async () => {
  const databaseUrl = await createDatabase();
  const proxy = await startPoolingProxy(databaseUrl);
  onTestFinished(() => proxy.close());
  const dataDir = await createDataDir();
  const server = await startProcess({ dataDir, LISTEN_DATABASE_URL: databaseUrl }, proxy.url);
  const followed = await importClips(server.client, await serveClips(4, 0.2));
  await expectEnd(followed, { clips: 4, databaseUrl, dataDir });
  // Longer than it takes to find out that notifications do not arrive.
  await sleep(3_500);
  expect(server.said(NO_NOTIFICATIONS)).toBe(0);
  expect(await server.ready()).toMatchObject({ status: 200, text: '{"status":"ok"}' });
  await endProcess(server);
});

test('work goes on in a copy of the database that takes over from it', async () => {
  const first = await startOwnPostgres();
  let current = first;
  onTestFinished(() => current.stop());
  const proxy = await createTcpProxy(first.url);
  onTestFinished(() => proxy.close());
  const dataDir = await createDataDir();
  const server = await startProcess({ dataDir }, proxy.url);
  await watchDatabase(first.url);
  const clips = await serveClips(14, 1);
  clips.origin.endings = 4;
  const followed = await importClips(server.client, clips);
  await untilKnown(followed, 1);
  proxy.refuse();
  current = await first.moveToCopy();
  proxy.redirect(current.url);
  expect(await server.ready()).toMatchObject({ status: 503 });
  expect(followed.isOver()).toBe(false);
  clips.origin.endings = 14;
  proxy.admit();
  await expectEnd(followed, { clips: 14, databaseUrl: current.url, dataDir });
  await endProcess(server);
});
