import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { percentile } from '../jobs/support.mjs';
import { now, stampOf, timeOf } from './clock.mjs';
import { KEY } from './database.mjs';
import { CURSOR, LIVE, POLL } from './documents.mjs';
import { cpuOf, memoryOf, startApi, startClients, startPeer } from './processes.mjs';

const FLUSHES_PER_SECOND = 5;
const WARM_UP_SECONDS = 2;
const UPDATE = `
  with written as (
    insert into task_progress (task_id, import_id, team_id, claim, attempt, stage, stage_fraction, fraction, bytes_done)
    select r."taskId", r."importId", r."teamId", r.claim, 1, 'UPLOAD', 0.5, 0.4, $2
      from jsonb_to_recordset($1::jsonb) as r("taskId" uuid, "importId" uuid, "teamId" uuid, claim bigint)
    on conflict (task_id) do update set bytes_done = excluded.bytes_done, version = task_progress.version + 1,
      updated_at = date_trunc('milliseconds', clock_timestamp())
    returning team_id, import_id)
  select pg_notify('sluice_changes', change) from (select distinct team_id || ' ' || import_id as change from written) told`;

/** Five flushes a second of an import with so many subscribers, through the database and all: one row a server. */
export async function measurePaced(database, { counts, seconds, tasks, round }) {
  const kinds = [
    ['bare ws broadcast', () => startPeer('bare', database.url, database.importId)],
    ['Sluice', () => startApi(database)],
    ['graphql-yoga + graphql-ws', () => startPeer('yoga', database.url, database.importId)],
  ];
  const rows = [];
  await flush(database, { seconds: 1, tasks });
  for (const count of counts)
    for (const [name, start] of round % 2 === 0 ? kinds : kinds.toReversed()) {
      process.stderr.write(`${count} subscribers of ${name}\n`);
      const server = await start();
      try {
        rows.push({ name, count, ...(await follow(database, server, { name, count, seconds, tasks })) });
        if (name === 'Sluice') rows.push(await poll(database, server, { count, seconds, tasks }));
      } finally {
        await server.stop();
      }
    }
  return rows;
}

async function follow(database, server, { name, count, seconds, tasks }) {
  const isOurs = name === 'Sluice';
  const after = isOurs ? await cursorOf(server.url, database.importId) : null;
  const payload = { query: LIVE, variables: { id: `imp_${database.importId}`, after } };
  const empty = isOurs ? (await server.ask()).rss : memoryOf(server.pid);
  const clients = await startClients({ url: server.url, payload, count });
  // Ours tells whoever comes of the running tasks.
  if (isOurs) await untilTold(clients, count);
  await sleep(1_000);
  const full = isOurs ? (await server.ask()).rss : memoryOf(server.pid);
  await flush(database, { seconds: WARM_UP_SECONDS, tasks });
  await clients.ask({ begin: true });
  const statements = isOurs ? (await server.ask()).statements : Number.NaN;
  const before = cpuOf(server.pid);
  const flushes = await flush(database, { seconds, tasks });
  await sleep(500);
  const cpu = cpuOf(server.pid) - before;
  const { got, bytes, delays } = await clients.ask();
  const after_ = isOurs ? await server.ask() : { statements: Number.NaN, rss: memoryOf(server.pid) };
  await clients.stop();
  return {
    p50: percentile(delays, 50),
    p99: percentile(delays, 99),
    rate: got / seconds,
    whole: got / (flushes * count),
    cpu: (cpu / got) * 1000,
    bytes: bytes / got,
    statements: (after_.statements - statements) / flushes,
    perSubscriber: (full - empty) / count,
    rss: after_.rss,
  };
}

async function untilTold(clients, count) {
  for (const deadline = performance.now() + 60_000; performance.now() < deadline; await sleep(100))
    if ((await clients.ask()).got >= count) return;
  throw new Error('not all subscribers were told where things stand');
}

/** Changes so many tasks at a time. @returns how often */
export async function flush({ pool, reports }, { seconds, tasks }) {
  const length = seconds * FLUSHES_PER_SECOND;
  const begin = performance.now();
  for (let n = 0; n < length; n += 1) {
    await sleep(Math.max(0, begin + (n * 1000) / FLUSHES_PER_SECOND - performance.now()));
    await pool.query(UPDATE, [JSON.stringify(reports.slice(0, tasks)), stampOf(now())]);
  }
  await sleep(Math.max(0, begin + seconds * 1000 - performance.now()));
  return length;
}

/** The same figures for who asks every second. */
async function poll(database, server, { count, seconds, tasks }) {
  const agent = new Agent({ keepAlive: true, maxSockets: 200 });
  const delays = [];
  let [answers, isOver] = [0, false];
  const variables = { id: `imp_${database.importId}`, first: tasks };
  const client = async (n) => {
    await sleep((n * 1000) / count);
    for (let next = now(); !isOver; ) {
      const text = await post(server.url, { query: POLL, variables }, agent);
      answers += 1;
      const [, stamp] = /"nodes":\[\{.*?"bytesDone":(\d+)/.exec(text) ?? [];
      const at = now();
      if (Number(stamp) > 1e12) delays.push(at - timeOf(Number(stamp)));
      next += 1000;
      await sleep(Math.max(0, next - now()));
    }
  };
  const all = Promise.all(Array.from({ length: count }, (_, n) => client(n)));
  const before = cpuOf(server.pid);
  await flush(database, { seconds, tasks });
  const cpu = cpuOf(server.pid) - before;
  isOver = true;
  await all;
  agent.destroy();
  // What a poll shows is half a second old by the next one on average.
  return {
    name: 'Sluice, importStatus every second',
    count,
    p50: percentile(delays, 50) + 500,
    p99: percentile(delays, 99) + 1000,
    rate: answers / seconds,
    cpu: (cpu / answers) * 1000,
  };
}

async function cursorOf(url, importId) {
  const text = await post(url, { query: CURSOR, variables: { id: `imp_${importId}` } });
  return JSON.parse(text).data.importStatus.cursor;
}

function post(url, body, agent) {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${KEY}` };
  return new Promise((resolve, reject) => {
    const asking = request(`${url}/graphql`, { method: 'POST', headers, agent }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
    });
    asking.on('error', reject);
    asking.end(JSON.stringify(body));
  });
}
