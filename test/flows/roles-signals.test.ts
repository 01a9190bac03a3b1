import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { installAudit, readAudit } from '../support/audit.ts';
import { createDataDir, runSluice } from '../support/process.ts';
import { waitFor } from '../support/wait.ts';
import { serveHeldLook, serveVideos } from './roles-origin.ts';
import { createSite } from './roles-site.ts';
import { createImporter } from './url-imports.ts';

describe('a signal to stop', () => {
  test.each(['all', 'worker'] as const)(
    'makes a process with the role %s unready at once and leaves it alive until its jobs have ended',
    async (role) => {
      const hold = new AbortController();
      const site = await createSite({ SLUICE_GRACE_SECONDS: '60' });
      const api = await site.start(role === 'all' ? 'all' : 'api');
      const target = role === 'all' ? api : await site.start('worker');
      const importer = createImporter(api.client);
      const { id } = await importer.start(await serveVideos(1, hold.signal));
      await importer.until(id, ({ counts }) => counts.uploading === 1);
      const signaled = performance.now();
      const ended = target.end('SIGTERM');
      const stopping = { status: 503, body: { status: 'failing', failing: ['stopping'] } };
      await waitFor(() => target.stderr().includes('"msg":"stopping"'), { what: 'the signal to be heard' });
      // The same signal, as a terminal and npm both send it: the grace goes on. Two seconds later it would be another one, so
      // that there is no time for it where this process has stood still.
      if (performance.now() - signaled < 1_000) process.kill(target.pid, 'SIGTERM');
      await waitFor(async () => (await target.health('ready')).status === 503);
      expect(await target.health('ready')).toEqual(stopping);
      expect(await target.health('live')).toEqual({ status: 200, body: { status: 'ok' } });
      if (role === 'all') {
        const refused = await fetch(`${target.url}/graphql`, { method: 'POST' });
        expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
      }
      hold.abort();
      expect(await ended).toMatchObject({ code: 0, signal: null });
      const tasks = await site.rows.all<{ status: string; attempts: number }>(
        'select status, attempts from tasks',
      );
      // Its transfer was allowed to end; what follows is another job.
      expect(tasks).toEqual([{ status: 'QUEUED', attempts: 1 }]);
    },
    120_000,
  );

  test('that comes again after two seconds hands jobs back at once, and costs no try', async () => {
    const site = await createSite({ SLUICE_GRACE_SECONDS: '600' });
    await installAudit(site.rows);
    const hold = new AbortController();
    const api = await site.start('api');
    const worker = await site.start('worker');
    const importer = createImporter(api.client);
    const { id } = await importer.start(await serveVideos(2, hold.signal));
    await importer.until(id, ({ counts }) => counts.uploading === 2);
    const ended = worker.end('SIGTERM');
    await waitFor(async () => (await worker.health('ready')).status === 503);
    // Only time tells a second signal from the first one's echo.
    await sleep(2_100);
    process.kill(worker.pid, 'SIGTERM');
    expect(await ended).toMatchObject({ code: 0, signal: null });
    const jobs = await site.rows.all(
      'select failures, crashes, lost_leases, owner from jobs where kind = $1',
      ['transfer-video'],
    );
    const untouched = { failures: 0, crashes: 0, lost_leases: 0, owner: null };
    expect(jobs).toEqual([untouched, untouched]);
    hold.abort();
    await site.start('worker');
    expect(await importer.end(id)).toMatchObject({ counts: { ready: 2, failed: 0 } });
    const spent = (await readAudit(site.rows)).filter(({ kind }) => /failure|lost/.test(kind));
    expect(spent).toEqual([]);
  });

  test('lets the call of startImport answer that is being planned; a worker plans on', async () => {
    const site = await createSite({ SLUICE_PLAN_SECONDS: '60', SLUICE_GRACE_SECONDS: '60' });
    await installAudit(site.rows);
    const hold = new AbortController();
    const held = await serveHeldLook(hold.signal);
    const api = await site.start('api');
    const starting = createImporter(api.client).start(held);
    const planning = () => site.rows.all(`select from jobs where kind = 'plan-import'`);
    await waitFor(async () => (await planning()).length > 0);
    const ended = api.end('SIGTERM');
    const { id, state } = await starting;
    expect(state).toBe('PLANNING');
    expect(await ended).toMatchObject({ code: 0, signal: null });
    hold.abort();
    const [next] = await Promise.all([site.start('api'), site.start('worker')]);
    expect(await createImporter(next.client).end(id)).toMatchObject({ counts: { ready: 3 } });
    const spent = (await readAudit(site.rows)).filter(({ kind }) => /failure|lost/.test(kind));
    expect(spent).toEqual([]);
  });

  test('that comes during the start is heeded when it is over', async () => {
    const site = await createSite();
    // Whoever migrates waits for this.
    await site.rows.all('begin');
    await site.rows.all('select pg_advisory_xact_lock(7310597164211001)');
    const worker = runSluice({ ...site.settings, SLUICE_DATA_DIR: await createDataDir() }, ['worker']);
    const url = await waitFor(() => /"url":"([^"]+)"/.exec(worker.stderr())?.[1], { timeout: 60_000 });
    expect(await (await fetch(`${url}/health/ready`)).json()).toEqual({
      status: 'failing',
      failing: ['starting'],
    });
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
    const ended = worker.end('SIGTERM');
    await waitFor(() => worker.stderr().includes('"msg":"stopping"'));
    await site.rows.all('rollback');
    expect(await ended).toMatchObject({ code: 0, signal: null });
  });
});
