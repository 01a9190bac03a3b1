import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { createTestClient } from '../support/client.ts';
import { createTestDatabase } from '../support/database.ts';
import { createDataDir, startServer } from '../support/process.ts';
import { openRows } from '../support/rows.ts';
import { startS3 } from '../support/s3.ts';
import { serverSettings, startTestServer, TEST_KEY } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import {
  allOf,
  bucketAt,
  createObjectImporter,
  isGet,
  type ObjectImporter,
  type StartResult,
  scripted,
} from './object-imports.ts';

const ROUNDS = 20;
const KEY = 'video.mp4';

/** Two servers, each a process of its own, on one database; and a bucket that gives nothing until it is let. */
async function startTwo() {
  const s3 = await startS3();
  onTestFinished(() => s3.stop());
  s3.createBucket('library');
  // While it is there, imports wait for it; without it they end.
  scripted(s3, (request) => (isGet(request) && s3.has('library', KEY) ? { status: 503 } : undefined));
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  const start = async () => {
    const settings = serverSettings({
      databaseUrl: database.url,
      dataDir: await createDataDir(),
      SLUICE_PLAN_SECONDS: '0.3',
      // What it says at its start is waited for.
      SLUICE_LOG_LEVEL: 'info',
    });
    const { url } = await startServer(settings);
    return createObjectImporter(createTestClient({ url, key: TEST_KEY }));
  };
  const servers = [await start(), await start()] as const;
  const integration = await servers[0].integrate(bucketAt(s3, 'library'));
  const rows = await openRows(database.url);
  onTestFinished(() => rows.close());
  let held = 0;
  return {
    servers,
    rows,
    integration,
    /** A new version each time: one that failed before would be left alone. */
    hold() {
      held += 1;
      s3.put('library', KEY, `version ${held}`);
    },
    release: () => s3.remove('library', KEY),
  };
}

function startedBy(result: StartResult): string {
  if (result.__typename !== 'StartImportSuccess') throw new Error(JSON.stringify(result));
  return result.import.id;
}

const importsIn = async (rows: Awaited<ReturnType<typeof startTwo>>['rows']) =>
  (await rows.all<{ id: string }>('select id from imports order by created_at')).map(({ id }) => `imp_${id}`);

test('of two calls at the same instant one starts the import, and the other is told of it', async () => {
  const { servers, rows, integration, hold, release } = await startTwo();
  const [one, two] = servers;
  const started: string[] = [];
  const winners = new Set<ObjectImporter>();
  for (let round = 0; round < ROUNDS; round += 1) {
    hold();
    const results = await Promise.all(servers.map((server) => server.ask(allOf(integration))));
    const first = results.findIndex(({ __typename }) => __typename === 'StartImportSuccess');
    const id = startedBy(results[first] as StartResult); // Or it throws.
    winners.add(servers[first] as ObjectImporter);
    started.push(id);
    expect(results[1 - first]).toMatchObject({
      __typename: 'ImportAlreadyRunningError',
      runningImport: { id },
    });
    expect(await one.ask(allOf(integration))).toMatchObject({ runningImport: { id } });
    release();
    expect(await two.end(id)).toMatchObject({ state: 'FAILED', counts: { found: 1 } });
  }
  expect(await importsIn(rows)).toEqual(started);
  expect(new Set(started).size).toBe(ROUNDS);
}, 180_000);

test('with the same idempotency key both get the same import; named objects never collide', async () => {
  const { servers, rows, integration, hold, release } = await startTwo();
  const [one, two] = servers;
  const started: string[] = [];
  for (let round = 0; round < ROUNDS / 2; round += 1) {
    hold();
    const input = allOf(integration, { idempotencyKey: `round ${round}`, retryFailed: true });
    const call = async (server: ObjectImporter, delayMs: number) => {
      // From the same instant to a time by which the other has listed, or stored, what it found.
      if (delayMs > 0) await sleep(delayMs);
      return startedBy(await server.ask(input));
    };
    const ids = await Promise.all([call(one, 0), call(two, round * 4)]);
    expect(new Set(ids).size, `round ${round}`).toBe(1);
    const [id = ''] = ids;
    started.push(id);
    expect(await two.ask(allOf(integration))).toMatchObject({
      __typename: 'ImportAlreadyRunningError',
      runningImport: { id },
    });
    expect(startedBy(await one.ask(input))).toBe(id);
    if (round === 0) {
      const objects = { integrationId: integration, objects: [{ key: KEY }] };
      const named = await Promise.all(servers.map((server) => server.ask({ from: { objects } })));
      started.push(...named.map(startedBy));
      expect(new Set(started).size).toBe(3);
    }
    release();
    await Promise.all(started.slice(-3).map((each) => one.end(each)));
    // As it is by now.
    expect(startedBy(await two.ask(input))).toBe(id);
  }
  expect((await importsIn(rows)).sort()).toEqual([...started].sort());
}, 180_000);

test('a call that sees the import of an earlier one with the same key running gets that import', async () => {
  const s3 = await startS3();
  onTestFinished(() => s3.stop());
  s3.createBucket('library');
  s3.put('library', KEY, 'held');
  const release = scripted(s3, (request) => (isGet(request) ? { status: 503 } : undefined));
  const server = await startTestServer({ SLUICE_PLAN_SECONDS: '0.3' });
  onTestFinished(() => server.stop());
  const rows = await openRows(server.databaseUrl);
  onTestFinished(() => rows.close());
  const watcher = await openRows(server.databaseUrl);
  onTestFinished(() => watcher.close());
  const importer = createObjectImporter(server);
  const input = allOf(await importer.integrate(bucketAt(s3, 'library')), { idempotencyKey: 'key' });
  const id = startedBy(await importer.ask(input));

  // The later call looks for the key before the earlier one has stored anything, and for its import afterwards.
  const [key] = await rows.all('delete from idempotency_keys returning *');
  await rows.all('begin');
  await rows.all('lock table imports in access exclusive mode');
  const later = importer.ask(input);
  await waitFor(async () => {
    const [waiting] = await watcher.all(`select pid from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and query like 'select%imports%integration%'`);
    return waiting;
  });
  await rows.all(
    'insert into idempotency_keys select * from jsonb_populate_record(null::idempotency_keys, $1)',
    [JSON.stringify(key)],
  );
  await rows.all('commit');
  expect(startedBy(await later)).toBe(id);
  release();
  await importer.end(id);
});
