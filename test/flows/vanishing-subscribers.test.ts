import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { toPublicId } from '../../src/services/public-ids.ts';
import { createRandom } from '../chaos/random.ts';
import { firstTeam, openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { insertLargeImport } from './large-imports.ts';
import { TRANSPORTS, type Transport } from './live.ts';

/** LIVE_CYCLES=5000: so many come and vanish instead of a few. */
const CYCLES = Number(process.env.LIVE_CYCLES ?? 200);
const SEED = Number(process.env.LIVE_SEED ?? 1);
/** As many as may be open with one key. */
const AT_ONCE = 10;

let server: TestServer;
let rows: Rows;
let queries: readonly string[];

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  const team = await firstTeam(rows, server.key);
  const id = await insertLargeImport(rows, team, { tasks: 3, status: 'PENDING' });
  const { id: task } = await rows.one<{ id: string }>('select id from tasks limit 1');
  queries = [
    `subscription { importProgress(id: "${id}") { cursor changed { id status } } }`,
    `subscription { taskProgress(id: "${toPublicId('Task', task)}") { task { id status } } }`,
    'subscription { tasksChanged { cursor changed { id status } removedIds } }',
  ];
});

afterEach(() => vi.unstubAllEnvs());
afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

/** A figure of /metrics. */
async function figure(name: string): Promise<number> {
  const response = await fetch(`${server.url}/metrics`);
  const [, value] = new RegExp(`^${name} (\\S+)$`, 'm').exec(await response.text()) ?? [];
  return Number(value);
}

/** How far a subscriber gets before it vanishes, some milliseconds later. */
interface Going {
  readonly query: string;
  /** 0: connected, 1: heard of, 2: the first event is there. */
  readonly step: number;
  readonly afterMs: number;
}

const VANISH: Readonly<Record<Transport, (going: Going) => Promise<void>>> = {
  async WebSocket({ query, step, afterMs }) {
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    socket.on('error', () => {});
    await once(socket, 'open');
    const payload = { authorization: `Bearer ${server.key}` };
    socket.send(JSON.stringify({ type: 'connection_init', payload }));
    if (step > 0) {
      await once(socket, 'message');
      socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query } }));
    }
    if (step > 1) await once(socket, 'message');
    await sleep(afterMs);
    const closed = once(socket, 'close');
    socket.terminate();
    await closed;
  },
  async 'server-sent events'({ query, step, afterMs }) {
    const { hostname, port } = new URL(server.url);
    const socket = connectSocket(Number(port), hostname);
    socket.on('error', () => {});
    const body = JSON.stringify({ query });
    socket.write(
      `POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\nAuthorization: Bearer ${server.key}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    let text = '';
    socket.on('data', (chunk) => {
      text += String(chunk);
    });
    const until = ['', '200 OK', 'event: next'][step] ?? '';
    await waitFor(() => text.includes(until), { what: until });
    await sleep(afterMs);
    const closed = once(socket, 'close');
    socket.resetAndDestroy();
    await closed;
  },
};

describe.each(TRANSPORTS)('over %s', (transport) => {
  test(
    `${CYCLES / TRANSPORTS.length} subscribers who vanish at any moment leave nothing behind`,
    async () => {
      const random = createRandom(SEED);
      let left = CYCLES / TRANSPORTS.length;
      const comeAndGo = async () => {
        for (; left > 0; ) {
          left -= 1;
          const query = queries[left % queries.length] ?? '';
          await VANISH[transport]({ query, step: Math.floor(random() * 3), afterMs: random() * 10 });
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, comeAndGo));
      const open = async () =>
        (await figure('sluice_subscriptions_active')) + (await figure('sluice_websocket_connections'));
      await waitFor(async () => (await open()) === 0, {
        timeout: 20_000,
        what: 'the end of all subscriptions',
      }).catch(() => {});
      expect(await figure('sluice_subscriptions_active')).toBe(0);
      expect(await figure('sluice_websocket_connections')).toBe(0);
    },
    60_000 + CYCLES * 100,
  );
});

// Yoga's pings, at which every stream notices that its client has gone, come every 300 ms where NODE_ENV is test, and every
// 12 seconds elsewhere.
test('an event stream that waits ends with its client, before the next ping', async () => {
  vi.stubEnv('NODE_ENV', 'production');
  for (const query of queries) {
    await VANISH['server-sent events']({ query, step: 2, afterMs: 0 });
    await waitFor(async () => (await figure('sluice_subscriptions_active')) === 0, {
      timeout: 8_000,
      what: 'the end of the subscription',
    });
  }
});
