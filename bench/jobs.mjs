import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { pino } from 'pino';
import { startPostgres } from '../dist/db/embedded/start.js';
import { measureClaims } from './jobs/claims.mjs';
import { createStarts, measureDrain, summarize } from './jobs/drain.mjs';
import { PEERS } from './jobs/peers.mjs';
import { installPeers, loadLibrary } from './libraries.mjs';
import { formatTable, median } from './table.mjs';

const BASE = 'graphile-worker 0.17.3, batching';
const LATENCY_BASE = 'raw: claim 500, complete 500, LISTEN';
const SLOTS = [10, 50];
const SAMPLES = 200;
const QUEUES = [1, 1_000].flatMap((teams) => [1_000, 100_000].map((queued) => ({ teams, queued })));

/**
 * Drains no-op jobs by our loop and by those of other queues, in turn on the same PostgreSQL; times single jobs and
 * claims; prints the tables.
 * @param args --rounds N (5), --jobs N (20000), --only TEXT (peers with it in their names)
 */
export async function run(args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string' },
      jobs: { type: 'string' },
      only: { type: 'string' },
      part: { type: 'string' },
    },
  });
  const options = {
    rounds: Number(values.rounds ?? 5),
    length: Number(values.jobs ?? 20_000),
    only: values.only ?? '',
  };
  installPeers();
  const server = await startServer();
  try {
    const rows = values.part === 'claims' ? [] : await measurePeers(server, options);
    const claims = values.part === 'drain' ? [] : await measureAllClaims(server, options.rounds);
    print(rows, claims, options);
  } finally {
    await server.stop();
  }
}

async function startServer() {
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  // Started by root, PostgreSQL runs under another account, which has to get through.
  await chmod(dataDir, 0o711);
  const postgres = await startPostgres({
    dataDir,
    log: pino({ level: 'warn' }),
    settings: { max_connections: '200' },
  });
  const pidFile = await readFile(join(postgres.location, 'data', 'postmaster.pid'), 'utf8').catch(() => '');
  return {
    postmaster: Number(pidFile.split('\n')[0]),
    createDatabase: () => createDatabase(postgres.url),
    checkpoint: () => runOn(postgres.url, 'checkpoint'),
    stop: async () => {
      await postgres.stop();
      await rm(postgres.location, { recursive: true, force: true });
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function createDatabase(serverUrl) {
  const name = `bench_${randomUUID().replaceAll('-', '')}`;
  await runOn(serverUrl, `create database ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

async function runOn(url, statement) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(statement);
  await client.end();
}

async function measurePeers(server, { rounds, length, only }) {
  const open = [];
  const rows = [];
  for (const [name, entry] of Object.entries(PEERS).filter(([name]) => name.includes(only))) {
    const library = entry.package === undefined ? undefined : await loadLibrary(entry.package);
    if (library === null) rows.push({ name, missing: true });
    else {
      const { starts, onStart } = createStarts();
      const peer = await entry.make({ url: await server.createDatabase(), onStart, library });
      open.push({ name, entry, peer, starts });
    }
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const slots of SLOTS) {
      // There and back, so that nobody always comes after the same one.
      for (const { name, entry, peer, starts } of round % 2 === 0 ? open : open.toReversed()) {
        if (entry.onlyLatency && slots !== SLOTS[0]) continue;
        await server.checkpoint();
        const samples = entry.latency && slots === SLOTS[0] ? Math.ceil(SAMPLES / rounds) : 0;
        const share = {
          length: Math.round(length * entry.share),
          slots,
          samples,
          postmaster: server.postmaster,
        };
        const figures = await measureDrain({ peer, starts }, share);
        rows.push({ name, round, slots, ...figures });
        process.stderr.write(
          `${round + 1}/${rounds} ${slots} slots, ${name}: ${Math.round(figures.rate)} jobs/s\n`,
        );
      }
    }
  }
  for (const { peer } of open) await peer.close();
  return rows;
}

async function measureAllClaims(server, rounds) {
  const rows = [];
  for (let round = 0; round < rounds; round += 1)
    for (const queue of QUEUES)
      rows.push({ ...queue, ...(await measureClaims(await server.createDatabase(), queue)) });
  return rows;
}

function print(rows, claims, { rounds, length }) {
  const about = `Node ${process.version}, ${cpus().length} CPUs, our own PostgreSQL with its durable settings; medians of ${rounds} rounds in turn.`;
  process.stdout.write(`\n${length} no-op jobs (a quarter for graphile-worker's defaults), from the first start until none is left in the database. ${about}
"x gw": to graphile-worker with batching, the median of the rounds' ratios. CPU in µs a job.\n\n`);
  process.stdout.write(`${formatTable(drainTable(rows))}\n`);
  process.stdout.write(
    `\nOne job handed to an idle worker, until it starts; ${SAMPLES} samples in ms; against a bare LISTEN and claim.\n\n`,
  );
  process.stdout.write(`${formatTable(latencyTable(rows))}\n`);
  process.stdout.write('\nA claim of ten jobs by the number of those queued; ms.\n\n');
  process.stdout.write(`${formatTable(claimTable(claims))}\n`);
}

const namesOf = (rows) => Object.keys(PEERS).filter((name) => rows.some((row) => row.name === name));

function drainTable(rows) {
  const head = [
    '',
    ...SLOTS.flatMap((slots) => [`jobs/s, ${slots} slots`, 'min-max', 'x gw', 'PostgreSQL', 'Node']),
    '50 to 10',
  ];
  const body = namesOf(rows)
    .filter((name) => !PEERS[name].onlyLatency)
    .map((name) => [name, ...drainCells(rows, name)]);
  return [head, ...body];
}

function drainCells(rows, name) {
  if (rows.some((row) => row.name === name && row.missing))
    return ['not installed', ...Array(SLOTS.length * 5).fill('')];
  const of = (slots, who = name) => rows.filter((row) => row.name === who && row.slots === slots);
  const cells = SLOTS.flatMap((slots) => {
    const own = of(slots);
    const rates = own.map(({ rate }) => rate);
    return [
      Math.round(median(rates)),
      `${Math.round(Math.min(...rates))}-${Math.round(Math.max(...rates))}`,
      ratio(own, of(slots, BASE), ({ rate }) => rate),
      median(own.map(({ postgres }) => postgres)).toFixed(1),
      median(own.map(({ node }) => node)).toFixed(1),
    ];
  });
  return [...cells, ratio(of(SLOTS[1]), of(SLOTS[0]), ({ rate }) => rate)];
}

/** The median of what each round's figure is to that of the base in the same round. */
function ratio(own, base, pick) {
  const ratios = own.flatMap((row) => {
    const other = base.find(({ round }) => round === row.round);
    return other ? [pick(row) / pick(other)] : [];
  });
  return ratios.length === 0 ? '-' : median(ratios).toFixed(2);
}

function latencyTable(rows) {
  const all = (name) =>
    summarize(rows.filter((row) => row.name === name).flatMap(({ latency = [] }) => latency));
  const base = all(LATENCY_BASE);
  const timesBase = (own, key) => (base ? (own[key] / base[key]).toFixed(2) : '-');
  const body = namesOf(rows).flatMap((name) => {
    const own = all(name);
    return own
      ? [[name, own.p50.toFixed(2), timesBase(own, 'p50'), own.p99.toFixed(2), timesBase(own, 'p99')]]
      : [];
  });
  return [['', 'p50', 'x LISTEN', 'p99', 'x LISTEN'], ...body];
}

function claimTable(claims) {
  const of = (teams, queued, key) => {
    const figures = claims
      .filter((row) => row.teams === teams && row.queued === queued)
      .map((row) => row[key]);
    return figures.length === 0 ? Number.NaN : median(figures);
  };
  const body = QUEUES.map(({ teams, queued }) => {
    const [p50, p99] = ['p50', 'p99'].map((key) => of(teams, queued, key));
    return [
      teams,
      queued,
      p50.toFixed(2),
      p99.toFixed(2),
      (p99 / of(teams, QUEUES[0].queued, 'p99')).toFixed(2),
    ];
  });
  return [['teams', 'queued', 'p50', 'p99', 'x 1000'], ...body];
}
