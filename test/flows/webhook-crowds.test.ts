import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { hang, idOf, type Receiver, startReceiver } from '../support/receiver.ts';
import { firstTeam, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { insertDueWebhooks, standing } from './due-webhooks.ts';
import { createTeller } from './webhook-imports.ts';

let server: TestServer;
let rows: Rows;
let team: TeamRows;
let receiver: Receiver;

beforeAll(async () => {
  // What hangs does so for longer than a test takes.
  server = await startTestServer({ SLUICE_WEBHOOK_TIMEOUT_SECONDS: '30', SLUICE_GRACE_SECONDS: '0.1' });
  rows = await openRows(server.databaseUrl);
  team = await firstTeam(rows, server.key);
  receiver = await startReceiver(({ path }) => {
    if (path.startsWith('/hang')) return hang;
    return path.startsWith('/fail') ? 500 : path === '/missing.mp4' ? 404 : 200;
  });
});

afterEach(async () => {
  // In the order in which jobs that are postponed together are locked, or each could wait for the other.
  await rows.all(`with ended as materialized
    (select id from jobs where kind = 'deliver-webhook' order by id for update)
    delete from jobs using ended where jobs.id = ended.id`);
  await rows.all('delete from webhook_deliveries');
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
  await receiver?.close();
});

const times = (count: number, url: (number: number) => string) =>
  Array.from({ length: count }, (_, n) => url(n));
const poke = () => rows.all(`select pg_notify('sluice_jobs', 'deliver-webhook')`);

test('200 receivers that hang, each with five messages, keep nobody else waiting', async () => {
  const hanging = times(1000, (n) => `${receiver.url}/hang-${n % 200}`);
  await insertDueWebhooks(rows, team, hanging);
  await poke();
  const asked = () => new Set(receiver.received.map(({ path }) => path)).size;
  await waitFor(() => asked() >= 200, { what: 'the messages to all that hang' });

  const teller = createTeller(server, {
    databaseUrl: server.databaseUrl,
    missing: `${receiver.url}/missing.mp4`,
  });
  const { webhook } = await teller.over({ url: `${receiver.url}/well` });
  expect(webhook).toMatchObject({ state: 'DELIVERED', attempts: [{ statusCode: 200 }] });
  expect(await standing(rows, 'RETRYING')).toBe(0);
  // One at once to somebody who has not answered yet.
  const sent = receiver.received.filter(({ path }) => path.startsWith('/hang'));
  expect(sent.length).toBe(200);
});

test('one receiver that hangs, with a thousand messages, gets one of them and leaves room', async () => {
  await insertDueWebhooks(
    rows,
    team,
    times(1000, () => `${receiver.url}/hang-alone`),
  );
  await insertDueWebhooks(
    rows,
    team,
    times(50, (n) => `${receiver.url}/beside-${n}`),
  );
  await poke();
  await waitFor(() => receiver.received.filter(({ path }) => path.startsWith('/beside')).length === 50);
  expect(receiver.at('/hang-alone')).toHaveLength(1);
});

test('of 300 messages 30 fail: all others arrive once, those that fail are tried again', async () => {
  const failing = times(30, (n) => `${receiver.url}/fail-${n % 7}`);
  const well = times(270, (n) => `${receiver.url}/arrives-${n % 3}`);
  await insertDueWebhooks(rows, team, [...failing, ...well]);
  await poke();
  await waitFor(async () => (await standing(rows, 'DELIVERED')) === 270, { what: 'all that arrive' });
  await waitFor(async () => (await standing(rows, 'RETRYING')) === 30, { what: 'all that fail' });
  const arrived = receiver.received.filter(({ path }) => path.startsWith('/arrives')).map(idOf);
  expect([arrived.length, new Set(arrived).size]).toEqual([270, 270]);
});
