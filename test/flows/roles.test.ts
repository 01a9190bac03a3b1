import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { runSluice } from '../support/process.ts';
import { openRows } from '../support/rows.ts';
import { createTcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait.ts';
import { serveHeldLook, serveVideos } from './roles-origin.ts';
import { createSite, startRole } from './roles-site.ts';
import { createImporter } from './url-imports.ts';

test.each(['api', 'worker'])('%s needs a database that is named', async (role) => {
  const { code, stdout, stderr } = await runSluice({ PORT: '0' }, [role]).ended;
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr.trimEnd()).toBe(
    `sluice: DATABASE_URL: required by \`sluice ${role}\`, whose processes share a database; \`sluice all\` can do with one of its own`,
  );
});

describe('an API and workers on one database', () => {
  test('the API leaves every job to the workers, suspects too, and keeps the lease of what a call runs itself', async () => {
    const site = await createSite({ SLUICE_LEASE_SECONDS: '2', SLUICE_PLAN_SECONDS: '60' });
    const hold = new AbortController();
    const held = await serveHeldLook(hold.signal);
    const api = await site.start('api');
    const importer = createImporter(api.client);
    // The call plans for longer than a lease, and nobody takes its job away.
    const starting = importer.start(held);
    await waitFor(async () => {
      const [job] = await site.rows.all(`select from jobs where kind = 'plan-import'
        and lease_until > created_at + interval '4 seconds' and claims = 1 and lost_leases = 0`);
      return job;
    });
    expect(await api.metric('sluice_jobs_running')).toMatchObject({ 'kind="plan-import"': 0 });
    hold.abort();
    const { id } = await starting;
    // As what a worker left three times, which is tried alone.
    await site.rows.all(
      `update jobs set lost_leases = 3 where id in (select id from jobs where kind = 'transfer-video' limit 1)`,
    );
    // More than two polls long, all are due and nobody comes.
    await waitFor(async () => {
      const ages = await api.metric('sluice_queue_oldest_due_age_seconds');
      return (ages['kind="transfer-video"'] ?? 0) > 5;
    });
    expect(await site.rows.all('select kind, claims from jobs where claims > 0')).toEqual([]);
    expect(await api.metric('sluice_queue_jobs')).toMatchObject({
      'kind="transfer-video",state="due"': 3,
      'kind="transfer-video",state="claimed"': 0,
    });

    const worker = await site.start('worker', { SLUICE_LEASE_SECONDS: '30' });
    const end = await importer.end(id);
    expect(end).toMatchObject({ state: 'SUCCEEDED', counts: { ready: 3, failed: 0 } });
    // A run is counted when all that follows it is done, and the end of the import is among that.
    const counted = await waitFor(async () => {
      const runs = await worker.metric('sluice_job_runs_ended_total');
      return runs['kind="index-video",outcome="finished"'] === 3 && runs;
    });
    expect(counted).toMatchObject({
      'kind="transfer-video",outcome="finished"': 3,
      'kind="transfer-video",outcome="failed"': 0,
      'kind="index-video",outcome="finished"': 3,
    });
    expect((await worker.metric('sluice_transfer_bytes_total'))['']).toBeGreaterThan(3 * 1000);
    expect(Object.values(await api.metric('sluice_job_runs_started_total')).every((n) => n === 0)).toBe(true);
    const ends = await Promise.all([api.end('SIGTERM'), worker.end('SIGTERM')]);
    expect(ends.map(({ code, signal }) => ({ code, signal }))).toEqual([
      { code: 0, signal: null },
      { code: 0, signal: null },
    ]);
  });

  test('that start at once on an empty database make one team and one key, shown once, by an API', async () => {
    const site = await createSite({ SLUICE_API_KEY: '' }, await createEmptyDatabase());
    const [one, two, worker] = await Promise.all([
      site.start('api'),
      site.start('api'),
      site.start('worker'),
    ]);
    const keys = [one, two].flatMap(({ stdout }) => [...stdout().matchAll(/^ {2}(slc_\S+)$/gm)]);
    expect(keys).toHaveLength(1);
    expect(worker.stdout()).toBe('');
    for (const table of ['teams', 'indexes', 'api_keys', 'api_key_teams'])
      expect(await site.rows.count(table)).toBe(1);
    const migrated = [one, two, worker].filter(({ stderr }) => stderr().includes('migrating the database'));
    expect(migrated).toHaveLength(1);
  });
});

async function createEmptyDatabase(): Promise<string> {
  const admin = await openRows(inject('databaseUrl'));
  const name = `roles_${randomBytes(8).toString('hex')}`;
  await admin.all(`create database ${name}`);
  onTestFinished(async () => {
    await admin.all(`drop database ${name} with (force)`);
    await admin.close();
  });
  return Object.assign(new URL(inject('databaseUrl')), { pathname: `/${name}` }).href;
}

describe('the health port of a worker', () => {
  test('answers for health and metrics, and for nothing else', async () => {
    const site = await createSite();
    const worker = await site.start('worker');
    expect(await worker.health('live')).toEqual({ status: 200, body: { status: 'ok' } });
    expect(await worker.health('ready')).toEqual({ status: 200, body: { status: 'ok' } });
    expect(await worker.metric('sluice_database_connections')).toHaveProperty('pool="work",state="idle"');
    for (const path of ['/', '/graphql', '/media/x/original/y', '/health'])
      expect((await fetch(`${worker.url}${path}`)).status).toBe(404);
    const post = await fetch(`${worker.url}/graphql`, { method: 'POST', body: '{}' });
    expect(post.status).toBe(404);
    expect((await fetch(`${worker.url}/metrics`, { method: 'POST' })).status).toBe(404);
  });

  test('is not there unless it is set, and a taken one is said in a line', async () => {
    const site = await createSite();
    const silent = runSluice({ ...site.settings, SLUICE_HEALTH_PORT: '' }, ['worker']);
    await waitFor(() => silent.stderr().includes('the worker is ready'), { timeout: 60_000 });
    expect(silent.stderr()).not.toContain('"url"');
    expect(await silent.end('SIGTERM')).toMatchObject({ code: 0, signal: null, stdout: '' });
    const taken = await serveVideos(1);
    const { port } = new URL(taken.videos[0]?.url ?? '');
    const second = await runSluice({ ...site.settings, SLUICE_HEALTH_PORT: port }, ['worker']).ended;
    expect(second.code).toBe(1);
    expect(second.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'))).toEqual([
      `sluice: Port ${port} of 127.0.0.1 is taken: stop what listens there, or set SLUICE_HEALTH_PORT to another one (0 takes a free one).`,
    ]);
  });

  test('tells of a database that is away, of its coming back, and that the worker lives', async () => {
    const site = await createSite();
    const proxy = await createTcpProxy(site.databaseUrl);
    onTestFinished(() => proxy.close());
    const worker = await site.start('worker', { DATABASE_URL: proxy.url });
    proxy.refuse();
    const away = { status: 503, body: { status: 'failing', failing: ['database', 'notifications'] } };
    // It may find out about the one before the other.
    await waitFor(async () => isDeepStrictEqual(await worker.health('ready'), away), {
      what: 'a database that is away',
    });
    expect((await worker.health('live')).status).toBe(200);
    expect(await worker.metric('sluice_notifications_up')).toEqual({ '': 0 });
    expect(await worker.metric('sluice_queue_jobs')).toEqual({});
    proxy.admit();
    await waitFor(async () => (await worker.health('ready')).status === 200);
    expect(await worker.end('SIGTERM')).toMatchObject({ code: 0, signal: null });
  });
});

test('where notifications do not arrive, a process says so, is ready, and works', async () => {
  // LISTEN succeeds there, and what is sent on the other database never comes.
  const elsewhere = await createTestDatabase();
  onTestFinished(() => elsewhere.drop());
  const site = await createSite({ LISTEN_DATABASE_URL: elsewhere.url });
  const server = await site.start('all');
  const limping = await waitFor(async () => {
    const { status, body } = await server.health('ready');
    expect(status).toBe(200);
    return JSON.stringify(body).includes('degraded') && body;
  });
  expect(limping).toEqual({ status: 'ok', degraded: ['notifications'] });
  // Its log takes another way than its answers.
  const said = await waitFor(
    () => server.stderr().match(/"level":40[^\n]*notifications of the database do not arrive/g),
    { what: 'what it says of that' },
  );
  expect(said).toHaveLength(1);
  expect(await server.metric('sluice_notifications_up')).toEqual({ '': 0 });
  const { state } = await createImporter(server.client).bring(await serveVideos(1));
  expect(state).toBe('SUCCEEDED');
});

test('warnings of the process are lines of the log, and those about the version of Node are for debugging', async () => {
  const site = await createSite();
  const warn = `data:text/javascript,${encodeURIComponent(
    `process.on('SIGUSR2', () => {
      process.emitWarning('first line\\nsecond line');
      process.emitWarning('NodeVersionSupportWarning: upgrade\\nto something');
    });`,
  )}`;
  const server = await startRole('worker', { ...site.settings, NODE_OPTIONS: `--import=${warn}` });
  process.kill(server.pid, 'SIGUSR2');
  await waitFor(() => server.stderr().includes('first line'));
  const { stderr } = await server.end('SIGTERM');
  const lines = stderr.trim().split('\n');
  expect(lines.filter((line) => !line.startsWith('{'))).toEqual([]);
  const said = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg.includes('warning'));
  expect(said).toMatchObject([{ level: 40, err: { message: 'first line\nsecond line' } }]);
});
