import { setTimeout as sleep } from 'node:timers/promises';
import { percentile } from '../jobs/support.mjs';
import { now } from './clock.mjs';
import { LIVE } from './documents.mjs';
import { cpuOf, startClients, startFanout, startPeer } from './processes.mjs';

const KINDS = {
  'bare ws broadcast': () => startPeer('bare'),
  Sluice: startFanout,
  'graphql-yoga + graphql-ws': () => startPeer('yoga'),
};
const WARM_UP = 5_000;

/** Events as fast as they go, without a database: one row a server and round. */
export async function measureFanout({ counts, deliveries, tasks, round }) {
  const rows = [];
  const kinds = Object.entries(KINDS);
  for (const count of counts)
    for (const [name, start] of round % 2 === 0 ? kinds : kinds.toReversed()) {
      const server = await start();
      const payload = { query: LIVE, variables: { id: 'imp_1' } };
      const clients = await startClients({ url: server.url, payload, count });
      await sleep(300);
      await run(server, clients, { count, tasks, events: Math.ceil(WARM_UP / count) });
      const figures = await run(server, clients, { count, tasks, events: Math.ceil(deliveries / count) });
      rows.push({ name, count, tasks, ...figures });
      await Promise.all([clients.stop(), server.stop()]);
    }
  return rows;
}

async function run(server, clients, { count, tasks, events }) {
  await clients.ask({ begin: true, want: events * count });
  const before = cpuOf(server.pid);
  const begin = now();
  server.tell({ events, tasks });
  const { got, bytes, delays, last } = await untilAll(clients, events * count);
  const seconds = (last - begin) / 1000;
  return {
    rate: got / seconds,
    cpu: ((cpuOf(server.pid) - before) / got) * 1000,
    bytes: bytes / got,
    p99: percentile(delays, 99),
  };
}

async function untilAll(clients, want) {
  for (const deadline = performance.now() + 60_000; performance.now() < deadline; await sleep(50)) {
    const told = await clients.ask({});
    if (told.got >= want) return told;
  }
  throw new Error('events were lost');
}
