import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { graphql } from '../support/graphql.ts';
import {
  hang,
  idOf,
  type Received,
  type Receiver,
  type Reply,
  reset,
  startReceiver,
  verified,
} from '../support/receiver.ts';
import { openRows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { createTeller, isOver, type Teller } from './webhook-imports.ts';

const CANCEL = graphql(`mutation ToldCancel($id: ID!) { cancelImport(id: $id) { __typename } }`);
const RETRY = graphql(`mutation ToldRetry($id: ID!) { retryImport(id: $id) { __typename } }`);

const DELETE = graphql(`mutation ToldDelete($id: ID!) { deleteImport(id: $id) { __typename } }`);

let server: TestServer;
let receiver: Receiver;
let teller: Teller;
/** How messages to a path are answered, one after the other; the last again and again. */
const replies = new Map<string, readonly Reply[]>();
let paths = 0;

beforeAll(async () => {
  // The schedule takes a thousandth of its time: 5 ms, 0.3 s, 1.8 s, 7 s.
  server = await startTestServer({
    SLUICE_RETRY_BASE_SECONDS: '0.005',
    // Nobody who answers, however late on a busy machine, is left.
    SLUICE_WEBHOOK_TIMEOUT_SECONDS: '30',
    SLUICE_PLAN_SECONDS: '0.3',
  });
  receiver = await startReceiver(({ path }, nth) => {
    const planned = replies.get(path) ?? [path === '/missing.mp4' ? 404 : 200];
    return planned[Math.min(nth, planned.length - 1)] ?? 200;
  });
  teller = createTeller(server, { databaseUrl: server.databaseUrl, missing: `${receiver.url}/missing.mp4` });
});

afterAll(async () => {
  await server?.stop();
  await receiver?.close();
});

/** A place of its own that answers like this. */
function place(...planned: readonly Reply[]) {
  paths += 1;
  const path = `/hook-${paths}`;
  replies.set(path, planned);
  return { url: receiver.url + path, messages: () => receiver.at(path) };
}

const timeOf = ({ headers }: Received) => Number(headers['webhook-timestamp']);

test('an import that has finished is told of once, signed, with its state, its counts and its context', async () => {
  const { url, messages } = place(200);
  const context = { batch: 'ü 7', ids: [1, 2.5, null], nested: { b: true, a: '' } };
  const told = await teller.over({ url, context });
  expect(told).toMatchObject({ state: 'FAILED', finished: true, hasFailures: true, context });
  expect(told.webhook).toMatchObject({ url, state: 'DELIVERED', nextAttemptAt: null });
  expect(told.webhook?.attempts).toMatchObject([{ statusCode: 200, error: null }]);
  const [message, ...others] = messages();
  if (!message) throw new Error('nothing came');
  expect(others).toEqual([]);
  expect(verified(message, await teller.secret())).toEqual({
    type: 'import.finished',
    timestamp: told.finishedAt,
    data: { id: told.id, state: 'FAILED', hasFailures: true, overview: told.counts, context },
  });
  expect(idOf(message)).toMatch(/^msg_[0-9a-f-]{36}$/);
  expect(message.headers).toMatchObject({ 'content-type': 'application/json', 'user-agent': 'sluice' });
  expect(() =>
    verified({ ...message, body: message.body.replace('FAILED', 'SUCCEEDED') }, 'whsec_AAAA'),
  ).toThrow();
});

test('500, 500, a reset and 200: four requests with one id, one body and a valid signature each', async () => {
  const { url, messages } = place(500, 500, reset, 200);
  const { webhook } = await teller.over({ url });
  const came = messages();
  expect(came).toHaveLength(4);
  expect(new Set(came.map(idOf)).size).toBe(1);
  expect(new Set(came.map(({ body }) => body)).size).toBe(1);
  const secret = await teller.secret();
  for (const message of came) verified(message, secret);
  expect(came.map(timeOf)).toEqual(came.map(timeOf).toSorted((one, other) => one - other));
  expect(webhook?.state).toBe('DELIVERED');
  expect(webhook?.attempts).toMatchObject([
    { statusCode: 500, error: expect.stringContaining('HTTP 500') },
    { statusCode: 500 },
    { statusCode: null, error: 'The connection to 127.0.0.1 was cut.' },
    { statusCode: 200, error: null },
  ]);
});

test('a redirect is not followed, and counts as a failure', async () => {
  const secret = place(200);
  const { url, messages } = place({ status: 301, headers: { location: secret.url } }, 200);
  const { webhook } = await teller.over({ url });
  expect(webhook?.attempts).toMatchObject([
    { statusCode: 301, error: expect.stringMatching(/redirects/) },
    {},
  ]);
  expect([messages().length, secret.messages().length]).toEqual([2, 0]);
});

test('410 is the last answer that is asked for', async () => {
  const { url, messages } = place(410, 200);
  const { webhook } = await teller.over({ url });
  expect(webhook).toMatchObject({ state: 'GAVE_UP', nextAttemptAt: null, attempts: [{ statusCode: 410 }] });
  expect(messages()).toHaveLength(1);
});

test('after 429 the next try waits for as long as it was asked to', async () => {
  const { url } = place({ status: 429, headers: { 'retry-after': '4' } }, 200);
  const { id } = await teller.start({ url });
  const { webhook: waiting } = await teller.until(id, ({ webhook }) => webhook?.state === 'RETRYING');
  const [first] = waiting?.attempts ?? [];
  const wait = Date.parse(waiting?.nextAttemptAt ?? '') - Date.parse(first?.at ?? '');
  expect(wait).toBeGreaterThanOrEqual(4000);
  const { webhook } = await teller.until(id, isOver);
  const [, second] = webhook?.attempts ?? [];
  expect(second?.statusCode).toBe(200);
  expect(Date.parse(second?.at ?? '')).toBeGreaterThanOrEqual(Date.parse(waiting?.nextAttemptAt ?? ''));
});

test('a receiver that hangs is left after the time that it has, and tried again', async () => {
  const hasty = await startTestServer({
    SLUICE_RETRY_BASE_SECONDS: '0.005',
    SLUICE_WEBHOOK_TIMEOUT_SECONDS: '3',
    SLUICE_PLAN_SECONDS: '0.3',
  });
  onTestFinished(() => hasty.stop());
  const missing = `${receiver.url}/missing.mp4`;
  const { url, messages } = place(hang, 200);
  const { webhook } = await createTeller(hasty, { databaseUrl: hasty.databaseUrl, missing }).over({ url });
  expect(webhook?.attempts).toMatchObject([
    { statusCode: null, error: '127.0.0.1 did not answer within 3 seconds.' },
    { statusCode: 200 },
  ]);
  expect(webhook?.attempts[0]?.durationMs).toBeGreaterThanOrEqual(2950);
  expect(messages()).toHaveLength(2);
});

test('of an answer without an end 64 KiB are read, and what it says of itself counts', async () => {
  let sent = 0;
  let closed: Promise<unknown> = Promise.resolve();
  const endless: Reply = (response, { socket }) => {
    socket.on('error', () => {});
    closed = new Promise((resolve) => socket.on('close', resolve));
    response.on('error', () => {}).writeHead(200);
    const chunk = Buffer.alloc(65_536);
    const write = () => {
      while (!response.destroyed && response.write(chunk)) sent += chunk.length;
      sent += chunk.length;
    };
    response.on('drain', write);
    write();
  };
  const { url } = place(endless);
  const { webhook } = await teller.over({ url });
  expect(webhook).toMatchObject({ state: 'DELIVERED', attempts: [{ statusCode: 200 }] });
  await closed;
  // What the two sockets hold comes on top of what is read.
  expect(sent).toBeLessThan(16 * 1024 * 1024);
});

test('a message that nobody takes is given up after ten tries, and can be asked for once more', async () => {
  const { url, messages } = place(...Array.from({ length: 3 }, () => 500));
  const { id } = await teller.start({ url });
  // Again and again: the next try may not be planned yet when the one before is seen.
  const { webhook } = await waitFor(
    async () => {
      await hurry();
      const told = await teller.look(id);
      return isOver(told) && told;
    },
    { timeout: 60_000, what: 'the end of the tries' },
  );
  expect(webhook).toMatchObject({ state: 'GAVE_UP', nextAttemptAt: null });
  expect(webhook?.attempts).toHaveLength(10);
  replies.set(new URL(url).pathname, [200]);
  const again = await teller.redeliver(id);
  expect(again.__typename).toBe('RedeliverWebhookSuccess');
  const { webhook: delivered } = await teller.until(id, ({ webhook }) => webhook?.state === 'DELIVERED');
  expect(delivered?.attempts).toHaveLength(11);
  expect(new Set(messages().map(idOf)).size).toBe(1);
  expect(new Set(messages().map(({ body }) => body)).size).toBe(1);
  expect(messages()).toHaveLength(11);
});

/** What waits for its next try is due at once. */
async function hurry(): Promise<void> {
  const rows = await openRows(server.databaseUrl);
  await rows.all(
    `update jobs set run_at = now() where kind = 'deliver-webhook' and owner is null and run_at > now()`,
  );
  await rows.all(`select pg_notify('sluice_jobs', 'deliver-webhook')`);
  await rows.close();
}

test('what has arrived is sent once more with the same id and body when somebody asks', async () => {
  const { url, messages } = place(200);
  const { id } = await teller.over({ url });
  expect(await teller.redeliver(id)).toMatchObject({ import: { id } });
  await teller.until(id, ({ webhook }) => webhook?.attempts.length === 2);
  const [first, second] = messages();
  if (!first || !second) throw new Error('it did not come twice');
  expect([idOf(second), second.body]).toEqual([idOf(first), first.body]);
});

test('only what has a webhook and has finished can be asked for once more', async () => {
  const { id } = await teller.start({});
  expect((await teller.look(id)).webhook).toBeNull();
  const issues = [{ path: ['importId'], code: 'INVALID' }];
  expect(await teller.redeliver(id)).toEqual({ __typename: 'InvalidInputError', issues });
  const missing = { __typename: 'NotFoundError', path: ['importId'] };
  expect(await teller.redeliver('imp_00000000-0000-7000-8000-000000000000')).toEqual(missing);
  expect(await teller.redeliver('nonsense')).toEqual(missing);
});

test('an import that is canceled is told of as such', async () => {
  const held = place(hang);
  const { url, messages } = place(200);
  const { id } = await teller.start({ url, video: held.url });
  expect((await teller.look(id)).webhook).toMatchObject({
    state: 'WAITING',
    attempts: [],
    nextAttemptAt: null,
  });
  await server.query(CANCEL, { id });
  const told = await teller.until(id, isOver);
  const [message, ...others] = messages();
  if (!message) throw new Error('nothing came');
  expect(others).toEqual([]);
  const { data } = verified(message, await teller.secret());
  expect(data).toMatchObject({ id, state: 'CANCELED', overview: { ...told.counts, canceled: 1 } });
});

test('each run of an import is told of with an id of its own', async () => {
  const held = place(hang);
  const { url, messages } = place(200);
  const { id } = await teller.start({ url, video: held.url });
  await server.query(CANCEL, { id });
  await teller.until(id, isOver);
  replies.set(new URL(held.url).pathname, [404]);
  const { retryImport } = await server.query(RETRY, { id });
  expect(retryImport.__typename).toBe('RetryImportSuccess');
  await teller.until(id, ({ runs, finished }) => runs === 2 && finished);
  const told = await teller.until(id, isOver);
  expect(told.webhook?.attempts).toHaveLength(1);
  const secret = await teller.secret();
  expect(messages().map((message) => verified(message, secret).data.state)).toEqual(['CANCELED', 'FAILED']);
  expect(new Set(messages().map(idOf)).size).toBe(2);
});

test('an import that is deleted takes its message with it, also one that is still to be sent', async () => {
  const { url } = place(500);
  const { id } = await teller.start({ url });
  await teller.until(id, ({ webhook }) => webhook?.state === 'RETRYING');
  expect(await server.query(DELETE, { id })).toEqual({ deleteImport: { __typename: 'DeleteImportSuccess' } });
  const rows = await openRows(server.databaseUrl);
  const left = await rows.all(`select from webhook_deliveries where import_id = $1`, [
    id.slice('imp_'.length),
  ]);
  const jobs = await rows.all(
    `select from jobs j where kind = 'deliver-webhook'
        and not exists (select from webhook_deliveries d where d.id = j.subject_id)`,
  );
  await rows.close();
  expect([left, jobs]).toEqual([[], []]);
});
