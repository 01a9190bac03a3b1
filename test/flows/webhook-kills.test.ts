import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runWebhooks } from '../chaos/run-webhooks.ts';
import { serveSmallVideos } from '../chaos/small-videos.ts';
import { createTestDatabase } from '../support/database.ts';
import { idOf, type Reply, startReceiver } from '../support/receiver.ts';
import { openRows } from '../support/rows.ts';
import { waitFor } from '../support/wait.ts';
import { createSite } from './roles-site.ts';
import { createTeller, isOver } from './webhook-imports.ts';

test('a process that is killed between the answer and its record leaves the message to another, which sends it once more', async () => {
  const site = await createSite({ SLUICE_LEASE_SECONDS: '3' });
  const holder = await openRows(site.databaseUrl);
  onTestFinished(() => holder.close());
  // Nobody can write what came of the first try.
  const holding: Reply = async (response) => {
    await holder.all('begin');
    await holder.all('select from webhook_deliveries for update');
    response.writeHead(200).end();
  };
  const receiver = await startReceiver(({ path }, nth) => {
    if (path !== '/hook') return 404;
    return nth === 0 ? holding : 200;
  });
  onTestFinished(receiver.close);
  const [api, worker] = [await site.start('api'), await site.start('worker')];
  const missing = `${receiver.url}/missing.mp4`;
  const teller = createTeller(api.client, { databaseUrl: site.databaseUrl, missing });
  const { id } = await teller.start({ url: `${receiver.url}/hook` });
  const blocked = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%webhook_deliveries%'`;
  await waitFor(async () => (await site.rows.all(blocked)).length > 0, { what: 'the record of the answer' });
  await worker.end('SIGKILL');
  // The server does not see at once that its client is gone.
  await site.rows.all(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%webhook_deliveries%'`,
  );
  await holder.all('rollback');
  expect(await teller.look(id)).toMatchObject({ webhook: { state: 'WAITING', attempts: [] } });
  await site.start('worker', { SLUICE_LEASE_SECONDS: '30' });
  const { webhook } = await teller.until(id, isOver);
  expect(webhook).toMatchObject({ state: 'DELIVERED', attempts: [{ statusCode: 200 }] });
  const [first, second, ...others] = receiver.at('/hook');
  if (!first || !second) throw new Error('it did not come twice');
  expect(others).toEqual([]);
  expect([idOf(second), second.body]).toEqual([idOf(first), first.body]);
});

test('30 imports, with a worker and the API killed in between, tell of their ends by one message each', async () => {
  const database = await createTestDatabase();
  onTestFinished(database.drop);
  const folder = await mkdtemp(join(tmpdir(), 'sluice-told-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const videos = await serveSmallVideos();
  onTestFinished(videos.close);
  const { signal } = new AbortController();
  const run = { databaseUrl: database.url, folder, videos, imports: 30, kills: 3, signal };
  const { violations, messages } = await runWebhooks(run);
  expect(violations).toEqual([]);
  expect(messages).toBeGreaterThanOrEqual(50);
}, 300_000);
