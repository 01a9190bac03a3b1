import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { startServer } from './server.mjs';
import { formatTable, median } from './table.mjs';

const SIZES = [1, 100, 1_000, 10_000];
const REPEATS = 3;
/** What SLUICE_PLAN_SECONDS is set to; undefined: its default, 5. The shortest shows what storing alone takes. */
const PLAN_SECONDS = ['0.001', '1', undefined];

const START_IMPORT = `mutation ($input: StartImportInput!) {
  startImport(input: $input) { __typename ... on StartImportSuccess { import { id counts { found undecided } } } }
}`;
const FINISHED = 'query ($id: ID!) { importStatus(id: $id) { finished } }';

/** Measures one call of startImport, beside a bare INSERT of the same rows, and prints the table. */
export async function run() {
  const origin = await startOrigin();
  const rows = [];
  try {
    for (const planSeconds of PLAN_SECONDS) rows.push(...(await measureServer(origin.url, planSeconds)));
  } finally {
    origin.close();
  }
  process.stdout.write(
    `\nstartImport, one call; median of ${REPEATS}; Node ${process.version}, ${cpus().length} CPUs. The origin is on the loopback and
answers 404 at once: every video that is looked at is rejected. "answer": from sending the request to the whole answer, when
all entries are committed. "decided": entries with a verdict by then; workers judge the rest. "bare INSERT": one statement of one connection
with the same rows as JSON, committed, in the same PostgreSQL. RSS in MB, of API and worker, which are one process here.\n\n`,
  );
  process.stdout.write(`${formatTable([HEAD, ...rows])}\n`);
}

const HEAD = [
  'plan s',
  'URLs',
  'answer ms',
  'decided',
  'statements',
  'stored',
  'RSS before',
  'after',
  'peak',
  'bare INSERT ms',
  'ratio',
];

async function measureServer(originUrl, planSeconds) {
  const server = await startServer(planSeconds === undefined ? {} : { SLUICE_PLAN_SECONDS: planSeconds });
  try {
    // A first call, not measured: connections, compiled code.
    const warm = await callOnce(server, videosOf(originUrl, 10));
    await untilFinished(server, warm.id);
    const client = new pg.Client((await server.observe()).database);
    await client.connect();
    try {
      await client.query(PEER_TABLE);
      const rows = [];
      for (const size of SIZES)
        rows.push(await measureSize({ server, client, originUrl, size, planSeconds }));
      return rows;
    } finally {
      await client.end();
    }
  } finally {
    await server.stop();
  }
}

async function measureSize({ server, client, originUrl, size, planSeconds }) {
  const runs = [];
  for (let n = 0; n < REPEATS; n += 1) {
    const videos = videosOf(originUrl, size);
    const insertMs = await insertBare(client, videos);
    const before = await server.observe();
    const call = await callOnce(server, videos);
    const after = await server.observe();
    const { rows } = await client.query(
      'select count(*)::int as stored from import_entries where import_id = $1',
      [call.id.slice('imp_'.length)],
    );
    runs.push({ ...call, insertMs, before, after, stored: rows[0].stored });
    // What one run leaves to the workers is no part of the next.
    await untilFinished(server, call.id);
  }
  const of = (pick) => median(runs.map(pick));
  const megabytes = (pick) => Math.round(of(pick) / 1e6);
  return [
    planSeconds ?? '5 (default)',
    size,
    of(({ ms }) => ms).toFixed(1),
    of(({ decided }) => decided),
    of(({ after }) => after.statements),
    of(({ stored }) => stored),
    megabytes(({ before }) => before.rss),
    megabytes(({ after }) => after.rss),
    megabytes(({ after }) => after.peakRss),
    of(({ insertMs }) => insertMs).toFixed(1),
    `${(of(({ ms }) => ms) / of(({ insertMs }) => insertMs)).toFixed(1)} x`,
  ];
}

const videosOf = (originUrl, size) =>
  Array.from({ length: size }, (_, n) => ({
    externalId: `asset-${n}`,
    url: `${originUrl}/library/2026/${n}/${randomUUID()}.mp4`,
    fileName: `clip-${n}.mp4`,
    name: `Clip ${n}`,
    metadata: { camera: n % 7, place: 'Studio 1', released: true },
  }));

async function callOnce(server, videos) {
  const input = { from: { videos: { systemName: randomUUID(), videos } } };
  const begin = performance.now();
  const { startImport } = await server.query(START_IMPORT, { input });
  const ms = performance.now() - begin;
  if (startImport.__typename !== 'StartImportSuccess') throw new Error(JSON.stringify(startImport));
  const { id, counts } = startImport.import;
  return { id, ms, decided: counts.found - counts.undecided };
}

async function untilFinished(server, id) {
  while (!(await server.query(FINISHED, { id })).importStatus.finished) await sleep(100);
}

// As import_entries is, apart from what refers to other tables.
const PEER_TABLE = `create table if not exists bench_entries (
  import_id uuid, ordinal integer, input jsonb not null, verdict text, primary key (import_id, ordinal))`;

async function insertBare(client, videos) {
  const begin = performance.now();
  await client.query(
    `insert into bench_entries (import_id, ordinal, input)
     select $1, ordinal, input from jsonb_to_recordset($2::jsonb) as r(ordinal int, input jsonb)`,
    [randomUUID(), JSON.stringify(videos.map((input, ordinal) => ({ ordinal, input })))],
  );
  return performance.now() - begin;
}

async function startOrigin() {
  const server = createServer((_request, response) => response.writeHead(404).end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
