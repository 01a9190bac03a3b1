import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { type OwnPostgres, startOwnPostgres } from '../support/own-postgres.ts';
import { createDataDir } from '../support/process.ts';
import { openRows } from '../support/rows.ts';
import { TEST_KEY } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import {
  ask,
  endProcess,
  expectEnd,
  type FaultyImport,
  type FaultyServer,
  importClips,
  serveClips,
  startProcess,
  terminate,
  untilKnown,
  watchDatabase,
} from './database-faults.ts';

const MAX_CONNECTIONS = 50;
const AWAY = {
  status: 503,
  retryAfter: '2',
  text: expect.stringMatching(/The database cannot be reached.*INTERNAL_SERVER_ERROR.*retryAfterSeconds/),
};

let postgres: OwnPostgres;
beforeAll(async () => {
  postgres = await startOwnPostgres({ max_connections: String(MAX_CONNECTIONS) });
});
afterAll(() => postgres?.stop());

/** An import of clips under way on a server with a database of its own. */
async function begin(count: number, seconds: number) {
  const name = `faults_${Math.random().toString(36).slice(2)}`;
  const admin = await openRows(postgres.url);
  await admin.all(`create database ${name}`);
  await admin.close();
  const url = new URL(postgres.url);
  url.pathname = `/${name}`;
  const databaseUrl = url.href;
  const dataDir = await createDataDir();
  const server = await startProcess({ dataDir }, databaseUrl);
  await watchDatabase(databaseUrl);
  const clips = await serveClips(count, seconds);
  const followed = await importClips(server.client, clips);
  const end = async (others: readonly string[] = []) => {
    await expectEnd(followed, { clips: count, databaseUrl, dataDir, others });
    await endProcess(server);
  };
  return { databaseUrl, server, followed, end, missing: clips.origin.url('missing') };
}

/** Waits until a server can do all that it should. */
const untilBack = ({ ready, url }: FaultyServer) =>
  waitFor(
    async () =>
      (await ready())?.status === 200 && (await ask(url, '{ viewer { id: __typename } }')).status === 200,
    {
      // Within the promise of ten seconds.
      timeout: 10_000,
      what: 'the server',
    },
  );

const untilMore = (followed: FaultyImport) => untilKnown(followed, followed.known() + 1);

test('a database that crashes three times under load ends nothing: everything comes in once', async () => {
  const { server, followed, end } = await begin(30, 1.5);
  for (let crash = 0; crash < 3; crash += 1) {
    await untilMore(followed);
    await postgres.crash();
    await untilBack(server);
  }
  expect(followed.isOver()).toBe(false);
  await end();
}, 120_000);

test('sessions that are ended while they work cost nothing; without its LISTEN session a server misses nothing', async () => {
  const { databaseUrl, server, followed, end } = await begin(32, 1);
  const rows = await openRows(databaseUrl);
  onTestFinished(() => rows.close());
  for (let round = 0; round < 2; round += 1) {
    await untilMore(followed);
    // What it is known by may have been on its way since the round before: by now there may be no sessions yet.
    await waitFor(async () => (await terminate(rows)) > 1, { what: 'sessions to end' });
  }
  await untilBack(server);
  for (let round = 0; round < 4; round += 1) {
    await untilMore(followed);
    await waitFor(async () => (await terminate(rows, 'sluice listen')) === 1);
  }
  expect(followed.isOver()).toBe(false);
  await waitFor(
    async () =>
      (await rows.one<{ n: number }>(`select count(*)::int as n from tasks where status = 'READY'`)).n === 32,
    { timeout: 60_000 },
  );
  await waitFor(followed.isOver, { timeout: 20_000, what: 'all that was missed' });
  await end();
}, 120_000);

/** Takes all connections there are, and each that becomes free, until it leaves. */
async function exhaust(databaseUrl: string): Promise<{ leave(): Promise<void> }> {
  const held: pg.Client[] = [];
  let isLeaving = false;
  const take = async (): Promise<boolean> => {
    const client = new pg.Client({ connectionString: databaseUrl, application_name: 'stranger' });
    client.on('error', () => {});
    return await client.connect().then(
      () => held.push(client) > 0,
      () => false,
    );
  };
  const takeAll = async (): Promise<void> => {
    while (!isLeaving) if (!(await take())) await sleep(10);
  };
  const taking = [takeAll(), takeAll()];
  await waitFor(() => held[0]);
  await waitFor(async () => {
    const [first] = held;
    const ours = await first?.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'sluice %'`,
    );
    return held.length >= MAX_CONNECTIONS - 1 && ours?.rowCount === 0;
  });
  return {
    async leave() {
      isLeaving = true;
      await Promise.all(taking);
      await Promise.all(held.map((client) => client.end()));
    },
  };
}

test('without a free connection requests are told so, workers try less and less often, and all goes on afterwards', async () => {
  const { databaseUrl, server, followed, end } = await begin(16, 1.5);
  await untilMore(followed);
  const stranger = await exhaust(databaseUrl);
  const before = server.said('jobs could not be claimed');
  const answers = [await ask(server.url, '{ viewer { id: __typename } }')];
  expect(await server.ready()).toMatchObject({ status: 503, text: expect.stringContaining('"database"') });
  expect(await closeOf(server.url)).toBe(1013);
  // Time for workers to be too eager in: every quarter of a second would be thirty times.
  await sleep(7_500);
  expect(server.said('jobs could not be claimed') - before).toBeLessThan(15);
  answers.push(await ask(server.url, 'mutation { cancelImport(id: "none") { __typename } }'));
  expect(answers).toEqual([expect.objectContaining(AWAY), expect.objectContaining(AWAY)]);
  for (const { ms } of answers) expect(ms).toBeLessThan(8_000);
  await stranger.leave();
  await untilBack(server);
  await end();
}, 120_000);

/** With which code a socket is closed that shows its key. */
async function closeOf(url: string): Promise<number> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  socket.on('open', () =>
    socket.send(
      JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${TEST_KEY}` } }),
    ),
  );
  return await new Promise((resolve) => socket.on('close', resolve));
}

test('while the database is read-only, changes are refused with the reason, jobs wait, and then go on', async () => {
  const { databaseUrl, server, followed, end, missing } = await begin(12, 1);
  const rows = await openRows(databaseUrl);
  onTestFinished(() => rows.close());
  await rows.all('set default_transaction_read_only = off');
  await untilMore(followed);
  const setReadOnly = async (value: 'on' | 'off') => {
    await rows.all(`alter system set default_transaction_read_only = ${value}`);
    await rows.all('select pg_reload_conf()');
  };
  await setReadOnly('on');
  // Nothing is behind that address: an import that ends at once, and nothing else.
  const change = `mutation { startImport(input: { from: { videos: { systemName: "dam", videos: [
    { externalId: "none", fileName: "none.mp4", url: "${missing}" }] } } }) { ... on StartImportSuccess { import { id } } } }`;
  // Sessions hear of it one after the other: some may still take it.
  const others: string[] = [];
  const refused = await waitFor(
    async () => {
      const answer = await ask(server.url, change);
      if (answer.status === 200) others.push(JSON.parse(answer.text).data.startImport.import.id);
      return answer.status !== 200 && answer;
    },
    { timeout: 10_000 },
  );
  expect(refused).toMatchObject(AWAY);
  // What reads is served: whoever balances the load need not take the server away.
  const isDegraded = async () => {
    const answer = await fetch(`${server.url}/health/ready`);
    return answer.status === 200 && (await answer.json()).degraded?.includes('database');
  };
  await waitFor(isDegraded, { what: 'a database that limps' });
  await sleep(5_000);
  await setReadOnly('off');
  await end(others);
}, 120_000);
