import { request } from 'node:http';
import { networkInterfaces } from 'node:os';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { queueMetrics } from '../../src/app-metrics-queue.ts';
import { createDatabase } from '../../src/db/client.ts';
import { valuesOf } from '../flows/roles-site.ts';
import { createTestDatabase } from '../support/database.ts';
import { graphql } from '../support/graphql.ts';
import { firstTeam, insertFinishedImport, openRows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { KEY, READ_KEY, type SmallServer, STRANGE_KEY, startSmallServer } from './support.ts';

const FIGURES = { contentType: 'text/plain; version=0.0.4', text: 'sluice_figure 1\n' };

/** Asks for the metrics with these headers, Host among them. */
function ask(url: string, headers: Readonly<Record<string, string>> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    request(`${url}/metrics`, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

describe('who may read the metrics', () => {
  let server: SmallServer;
  beforeAll(async () => {
    server = await startSmallServer({ host: '0.0.0.0', metrics: async () => FIGURES });
  });
  afterAll(async () => {
    await server?.http.stop();
  });

  test('whoever asks on the machine itself, for himself', async () => {
    const response = await fetch(`${server.url}/metrics`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await response.text()).toBe(FIGURES.text);
    expect(await ask(server.url, { host: `localhost:${server.port}` })).toBe(200);
  });

  test.each([
    ['an ADMIN key', bearer(KEY), 200],
    ['an ADMIN key through a proxy', { ...bearer(KEY), 'x-forwarded-for': '203.0.113.9' }, 200],
    ['a key that may only read', bearer(READ_KEY), 403],
    ['a key that is none', bearer(STRANGE_KEY), 401],
    ['what looks like no key', { authorization: 'Basic YTpi' }, 401],
    ['a proxy on this machine that asks for a stranger', { 'x-forwarded-for': '203.0.113.9' }, 401],
    [
      'a stranger who says that he is local',
      { 'x-forwarded-for': '127.0.0.1', 'x-real-ip': '127.0.0.1' },
      401,
    ],
    ['a proxy by the standard header', { forwarded: 'for=127.0.0.1' }, 401],
    ['a proxy that only names itself', { via: '1.1 proxy' }, 401],
    ['a page whose name leads to this machine', { host: 'rebound.example:4000' }, 401],
    ['an address that only looks local', { host: '127.0.0.1.example' }, 401],
  ])('%s: %#', async (_, headers, status) => {
    expect(await ask(server.url, headers)).toBe(status);
  });

  const outside = Object.values(networkInterfaces())
    .flat()
    .find((one) => one !== undefined && !one.internal && one.family === 'IPv4');
  test.runIf(outside !== undefined)('nobody on another address without a key', async () => {
    const url = `http://${outside?.address}:${server.port}`;
    expect(await ask(url)).toBe(401);
    expect(await ask(url, { host: `127.0.0.1:${server.port}` })).toBe(401);
    expect(await ask(url, bearer(KEY))).toBe(200);
  });
});

describe('the metrics of a whole server', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(async () => {
    await server?.stop();
  });
  const read = async () => await (await fetch(`${server.url}/metrics`)).text();
  const metric = async (name: string) => valuesOf(await read(), name);

  test('are all there, named as Prometheus wants it, and told once', async () => {
    const text = await read();
    const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(
      ([, name = '', type = '']) => [name, type] as const,
    );
    expect(new Set(types.map(([name]) => name)).size).toBe(types.length);
    const own = types.filter(([name]) => name.startsWith('sluice_'));
    expect(own.filter(([name, type]) => (type === 'counter') !== name.endsWith('_total'))).toEqual([]);
    expect(own.map(([name]) => name).sort()).toEqual([
      'sluice_database_connections',
      'sluice_database_waiting_requests',
      'sluice_http_requests_total',
      'sluice_job_run_failures_total',
      'sluice_job_runs_ended_total',
      'sluice_job_runs_started_total',
      'sluice_jobs_running',
      'sluice_media_process_failures_total',
      'sluice_media_processes',
      'sluice_notifications_up',
      'sluice_queue_jobs',
      'sluice_queue_oldest_due_age_seconds',
      'sluice_storage_sweep_failures_total',
      'sluice_subscriptions_active',
      'sluice_transfer_bytes_total',
      'sluice_websocket_connections',
    ]);
    for (const name of [
      'process_cpu_seconds_total',
      'process_resident_memory_bytes',
      'nodejs_eventloop_lag_p99_seconds',
    ])
      expect(types.map(([found]) => found)).toContain(name);
    expect(await metric('sluice_media_process_failures_total')).toMatchObject({
      'pool="looks",reason="crashed"': 0,
      'pool="checks",reason="out_of_memory"': 0,
    });
    expect(await metric('sluice_notifications_up')).toEqual({ '': 1 });
  });

  test('count requests by the class of their status, and those whose client left', async () => {
    const before = await metric('sluice_http_requests_total');
    expect((await fetch(`${server.url}/nothing`)).status).toBe(404);
    expect((await fetch(`${server.url}/graphql`, { method: 'POST' })).status).toBe(401);
    const after = await metric('sluice_http_requests_total');
    const more = (status: string) => (after[`status="${status}"`] ?? 0) - (before[`status="${status}"`] ?? 0);
    expect([more('2xx'), more('4xx'), more('5xx')]).toEqual([1, 2, 0]);
  });

  test('count open sockets and subscriptions, and forget them', async () => {
    const rows = await openRows(server.databaseUrl);
    onTestFinished(() => rows.close());
    await insertFinishedImport(rows, await firstTeam(rows, server.key), { tasks: 1, videos: 0 });
    const { id } = await rows.one<{ id: string }>(
      `update imports set state = 'STARTED', finished_at = null, counts = null returning id`,
    );
    const watch = graphql(`subscription MetricsWatch($id: ID!) { importProgress(id: $id) { cursor } }`);
    const [socket, stream] = [
      server.overWebSocket(watch, { id: `imp_${id}` }),
      server.overEvents(watch, { id: `imp_${id}` }),
    ];
    await Promise.all([socket.next(), stream.next()]);
    expect(await metric('sluice_websocket_connections')).toEqual({ '': 1 });
    expect(await metric('sluice_subscriptions_active')).toEqual({ '': 2 });
    await Promise.all([socket.return(undefined), stream.return(undefined)]);
    await waitFor(async () => (await metric('sluice_websocket_connections'))[''] === 0);
    await waitFor(async () => (await metric('sluice_subscriptions_active'))[''] === 0);
    // One that is refused is none.
    const refused = new WebSocket(`${server.url.replace('http', 'ws')}/elsewhere`);
    await new Promise((resolve) => refused.once('error', resolve));
    await waitFor(async () => (await metric('sluice_websocket_connections'))[''] === 0);
  });
});

test('the queue is counted when somebody asks, and not again within five seconds', async () => {
  const database = await createTestDatabase();
  const rows = await openRows(database.url);
  const client = createDatabase({
    url: database.url,
    log: pino({ level: 'silent' }),
    applicationName: 'test',
  });
  onTestFinished(async () => {
    await client.close();
    await rows.close();
    await database.drop();
  });
  const add = (kind: string, more: string) =>
    rows.all(`insert into jobs (id, kind, subject_id, team_id, payload, ${more.split('=')[0]})
      values (gen_random_uuid(), '${kind}', gen_random_uuid(), gen_random_uuid(), '{}', ${more.split('=')[1]})`);
  await add('one', "run_at=now() - interval '100 seconds'");
  await add('one', "run_at=now() - interval '10 seconds'");
  await add('one', "run_at=now() + interval '1 hour'");
  await rows.all(`update jobs set owner = gen_random_uuid(), lease_until = now()
    where run_at between now() - interval '50 seconds' and now()`);
  const now = vi.spyOn(performance, 'now').mockReturnValue(1_000_000);
  onTestFinished(() => now.mockRestore());
  let asked = 0;
  client.pool.on('acquire', () => {
    asked += 1;
  });
  const [jobs, age] = queueMetrics(client.pool, ['one', 'none']);
  expect(asked).toBe(0);
  const samples = [...((await jobs?.read()) ?? [])];
  expect(samples).toEqual([
    { labels: { kind: 'one', state: 'due' }, value: 1 },
    { labels: { kind: 'one', state: 'delayed' }, value: 1 },
    { labels: { kind: 'one', state: 'claimed' }, value: 1 },
    { labels: { kind: 'none', state: 'due' }, value: 0 },
    { labels: { kind: 'none', state: 'delayed' }, value: 0 },
    { labels: { kind: 'none', state: 'claimed' }, value: 0 },
  ]);
  const [oldest, none] = [...((await age?.read()) ?? [])];
  expect(oldest?.value).toBeGreaterThanOrEqual(100);
  expect(none).toEqual({ labels: { kind: 'none' }, value: 0 });
  await add('one', 'run_at=now()');
  now.mockReturnValue(1_005_000);
  expect([...((await jobs?.read()) ?? [])]).toEqual(samples);
  expect(asked).toBe(1);
  now.mockReturnValue(1_005_001);
  expect([...((await jobs?.read()) ?? [])]).not.toEqual(samples);
  expect(asked).toBe(2);
});
