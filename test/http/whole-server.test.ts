import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createDatabase } from '../../src/db/client.ts';
import { revokeKey } from '../../src/services/manage-keys.ts';
import { createTestClient } from '../support/client.ts';
import { graphql } from '../support/graphql.ts';
import { firstTeam, insertFinishedImport, insertTeam, openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const SCOPES = graphql('query Scopes { viewer { scopes } }');

/** A message of graphql-transport-ws. */
interface Message {
  readonly type: string;
  readonly id?: string;
  readonly payload?: unknown;
}

let server: TestServer;
let rows: Rows;
let taskId: string;

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  // A task that goes on for ever: it waits for a job that nobody has enqueued.
  await insertFinishedImport(rows, await firstTeam(rows, server.key), { tasks: 1, videos: 0 });
  const task = await rows.one<{ id: string }>(
    `update tasks set status = 'PENDING', outcome = null, finished_at = null, fraction = 0, waiting_for = 'WORKER' returning id`,
  );
  taskId = `task_${task.id}`;
  await rows.all(`update imports set state = 'STARTED', finished_at = null, counts = null`);
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

/** A socket without any library of the protocol: what it was sent, and how it was closed. */
function open(headers: Readonly<Record<string, string>> = {}) {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
    headers,
  });
  const messages: Message[] = [];
  const waiting: (() => void)[] = [];
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  socket.on('message', (data) => {
    messages.push(JSON.parse(String(data)) as Message);
    for (const wake of waiting.splice(0)) wake();
  });
  const send = (message: object) => socket.send(JSON.stringify(message));
  return {
    socket,
    closed,
    send,
    /** The next message that is not a ping; rejects when the socket is closed instead. */
    async next(): Promise<Message> {
      for (;;) {
        const message = messages.shift();
        if (message && message.type !== 'ping') return message;
        if (message) continue;
        const arrived = new Promise<void>((resolve) => waiting.push(resolve));
        await Promise.race([
          arrived,
          closed.then((code) => Promise.reject(new Error(`the socket was closed with ${code}`))),
        ]);
      }
    },
  };
}

async function openWithKey() {
  const connection = open();
  await once(connection.socket, 'open');
  connection.send({ type: 'connection_init', payload: { authorization: `Bearer ${server.key}` } });
  expect(await connection.next()).toMatchObject({ type: 'connection_ack' });
  const subscribe = (query: string, id: string = randomUUID()) =>
    connection.send({ type: 'subscribe', id, payload: { query } });
  return { ...connection, subscribe };
}

const progress = () => `subscription { taskProgress(id: "${taskId}") { task { id status } } }`;

describe('a socket is closed', () => {
  test('with 4408 when nothing has come for three seconds', async () => {
    expect(await open().closed).toBe(4408);
  });

  test.each([
    [
      '4403 for a key that is none',
      [{ type: 'connection_init', payload: { authorization: `Bearer slc_${'w'.repeat(43)}` } }],
      4403,
    ],
    ['4403 without a key', [{ type: 'connection_init' }], 4403],
    [
      '4401 for an operation before the key',
      [{ type: 'subscribe', id: '1', payload: { query: '{ __typename }' } }],
      4401,
    ],
    ['4400 for a message of no type', [{ type: 'unknown' }], 4400],
    ['4400 for what is no message', ['text'], 4400],
  ])('with %s', async (_, sent, code) => {
    const { socket, closed, send } = open();
    await once(socket, 'open');
    for (const message of sent) send(message as object);
    expect(await closed).toBe(code);
  });

  test('with 4429 for a second key', async () => {
    const { closed, send } = await openWithKey();
    send({ type: 'connection_init', payload: { authorization: `Bearer ${server.key}` } });
    expect(await closed).toBe(4429);
  });

  test('with 1009 for more than 64 KiB before the key, and for a frame of more than 32 MiB after it', async () => {
    const stranger = open();
    await once(stranger.socket, 'open');
    stranger.send({ type: 'connection_init', payload: { more: 'x'.repeat(64 * 1024) } });
    expect(await stranger.closed).toBe(1009);
    const { send, next, closed } = await openWithKey();
    send({ type: 'ping', payload: { more: 'x'.repeat(2 * 1024 * 1024) } });
    expect((await next()).type).toBe('pong');
    send({ type: 'ping', payload: { more: 'x'.repeat(32 * 1024 * 1024) } });
    expect(await closed).toBe(1009);
  });
});

test('a page of another origin gets no socket', async () => {
  for (const origin of ['https://evil.example', 'null']) {
    const { socket } = open({ origin });
    const [error] = (await once(socket, 'error')) as [Error]; // as ws emits it
    expect(error.message).toBe('Unexpected server response: 403');
  }
  const own = open({ origin: server.url });
  await once(own.socket, 'open');
  own.socket.terminate();
});

test('operations over a socket have the same limits and masks as over HTTP', async () => {
  const { subscribe, next, socket } = await openWithKey();
  const lists = `{ task(id: ${'['.repeat(1_990)}${']'.repeat(1_990)}) { id } }`;
  const aliases = `{ ${Array.from({ length: 20 }, (_, n) => `a${n}: viewer { keyName }`).join(' ')} }`;
  for (const query of [lists, aliases, `{ viewer { ${'keyName '.repeat(2_000)} } }`]) {
    subscribe(query, '1');
    expect(await next()).toMatchObject({
      type: 'error',
      payload: [{ extensions: { code: 'QUERY_TOO_COMPLEX' } }],
    });
  }
  subscribe('{ tasks(first: 101) { totalCount nodes { id } } }', '2');
  expect(await next()).toMatchObject({ payload: { errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] } });
  expect(await next()).toMatchObject({ type: 'complete' });
  await rows.all('alter table videos rename to videos_away');
  try {
    subscribe('{ videos { nodes { id } } }', '3');
    const { payload } = await next();
    expect(payload).toMatchObject({
      errors: [{ extensions: { code: 'INTERNAL_SERVER_ERROR', errorId: expect.any(String) } }],
    });
    expect(JSON.stringify(payload)).not.toMatch(/relation|select|videos_away/);
    expect(await next()).toMatchObject({ type: 'complete' });
  } finally {
    await rows.all('alter table videos_away rename to videos');
  }
  socket.terminate();
});

test('a key that is revoked in the database closes its sockets with 4403 and ends its event streams, within five seconds', async () => {
  const socket = await openWithKey();
  socket.subscribe(progress());
  expect(await socket.next()).toMatchObject({
    payload: { data: { taskProgress: { task: { id: taskId } } } },
  });
  const response = await openStream();
  const begin = performance.now();
  await rows.all('update api_keys set revoked_at = now()');
  try {
    const ended = response.text().catch(() => 'cut off');
    expect(await socket.closed).toBe(4403);
    await ended;
    // A look every three seconds, and what a busy machine adds.
    expect(performance.now() - begin).toBeLessThan(8_000);
  } finally {
    await rows.all('update api_keys set revoked_at = null');
  }
});

test('servers are told of a key that is revoked by the command: it ends at once, not only when it is looked at again', async () => {
  const log = pino({ level: 'silent' });
  const { db, close } = createDatabase({ url: server.databaseUrl, log, applicationName: 'test', max: 1 });
  const endOne = async (name: string): Promise<number> => {
    const { key } = await insertTeam(rows, name);
    const client = createTestClient({ url: server.url, key });
    const connection = open();
    await once(connection.socket, 'open');
    connection.send({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } });
    await connection.next();
    await client.query(SCOPES);
    const begin = performance.now();
    await revokeKey(db, name);
    const refused = waitFor(async () => (await client.send(SCOPES)).errors !== undefined);
    expect(await connection.closed).toBe(4403);
    await refused;
    return performance.now() - begin;
  };
  const took: number[] = [];
  // Each would take a second without being told; a machine that is busy may be as slow as that, again and again. Each shows one
  // wrong key, and after twenty of them no other one is looked at.
  for (let n = 0; n < 12 && !took.some((ms) => ms < 700); n += 1) took.push(await endOne(`team ${n}`));
  await close();
  expect(Math.min(...took)).toBeLessThan(700);
});

/** An event stream of the task, whose first event has been sent. */
async function openStream(): Promise<Response> {
  const response = await fetch(`${server.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      authorization: `Bearer ${server.key}`,
    },
    body: JSON.stringify({ query: progress() }),
  });
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  return response;
}

test('a server that stops closes its sockets with 1001 and ends its event streams', async () => {
  const socket = await openWithKey();
  socket.subscribe(progress());
  await socket.next();
  const response = await openStream();
  const ended = response.text().catch(() => 'cut off');
  await server.app.stop();
  expect(await socket.closed).toBe(1001);
  await ended;
});
