import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { startWorker } from '../../src/app-worker.ts';
import { readConfig } from '../../src/config.ts';
import { createTestClient } from '../support/client.ts';
import { createTestDatabase } from '../support/database.ts';
import { startReceiver } from '../support/receiver.ts';
import { serverSettings, TEST_KEY } from '../support/server.ts';
import { createTeller } from './webhook-imports.ts';

const log = pino({ level: 'silent' });

test('an address that is forbidden by the time of the delivery is not connected to, and the attempt says so', async () => {
  const receiver = await startReceiver(({ path }) => (path === '/missing.mp4' ? 404 : 200));
  onTestFinished(receiver.close);
  const database = await createTestDatabase();
  onTestFinished(database.drop);
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-refused-'));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  const settings = serverSettings({ databaseUrl: database.url, dataDir });
  // The one that takes the import reaches the receiver, the one that delivers may not.
  const api = await startApp(readConfig(settings), log, 'api');
  onTestFinished(() => api.stop());
  const worker = await startWorker(readConfig({ ...settings, SLUICE_ALLOW_ADDRESSES: '' }), log);
  onTestFinished(() => worker.stop());
  const client = createTestClient({ url: api.url, key: TEST_KEY });
  const teller = createTeller(client, { databaseUrl: database.url, missing: `${receiver.url}/missing.mp4` });
  const { id } = await teller.start({ url: `${receiver.url}/hook` });
  const { webhook } = await teller.until(id, (told) => told.webhook?.state === 'RETRYING');
  const error = expect.stringContaining('an address that this server does not connect to');
  expect(webhook?.attempts[0]).toMatchObject({ statusCode: null, error });
  expect(JSON.stringify(webhook?.attempts)).not.toContain('127.0.0.1');
  expect(receiver.at('/hook')).toEqual([]);
});
