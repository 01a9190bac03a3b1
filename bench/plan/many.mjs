import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { startServer } from '../server.mjs';
import { formatTable } from '../table.mjs';
import { makeBenchClips } from './clips.mjs';
import { cpuBetween, cpuOfServer } from './cpu.mjs';
import { createIntegration, readImport, startImport } from './import.mjs';
import { startStore } from './s3-store.mjs';

const SAMPLE_MS = 500;
/** The first tenth of the objects: buffers, connections and compiled code come into being. */
const WARM_UP = 0.1;
/** After which parts of the objects the server is killed. */
const KILLS = [1 / 3, 2 / 3];
const SETTINGS = {
  SLUICE_PLAN_SECONDS: '5',
  SLUICE_TRANSFER_CONCURRENCY: '1',
  SLUICE_LEASE_SECONDS: '5',
  SLUICE_SWEEP_SECONDS: '1',
};

/** Plans an import of very many objects, of which few need a look: in one go, then with two kills; prints both. */
export async function measureMany({ folder, count, latencyMs }) {
  const [file] = await makeBenchClips(folder);
  const store = await startStore(latencyMs);
  try {
    await store.run('fillVirtually', { file, count });
    await store.run('holdTransfers', { held: true });
    const whole = await plan(store, count, []);
    process.stderr.write(`planned in ${whole.seconds.toFixed(1)} s\n`);
    const killed = await plan(store, count, KILLS);
    print(whole, killed, { count, latencyMs });
  } finally {
    await store.stop();
  }
}

async function plan(store, count, kills) {
  let server = await startServer(SETTINGS);
  const samples = [];
  const before = cpuOfServer(server.pid);
  let restartSeconds = 0;
  try {
    await store.run('startCounting');
    const integration = await createIntegration(server, store, 'many');
    const begin = performance.now();
    const { id } = await startImport(server, integration, null);
    const due = [...kills];
    for (let planned = 0, state = 'PLANNING'; state === 'PLANNING'; await sleep(SAMPLE_MS)) {
      const found = await readImport(server, id);
      state = found.state;
      planned = found.counts.found - found.counts.undecided;
      samples.push({ planned, rss: (await server.observe('collect')).rss });
      if (due.length === 0 || planned < due[0] * count) continue;
      due.shift();
      const killedAt = performance.now();
      await server.kill();
      server = await startServer(SETTINGS, server.dataDir);
      restartSeconds += (performance.now() - killedAt) / 1000;
    }
    const seconds = (performance.now() - begin) / 1000;
    const cpu = kills.length === 0 ? cpuBetween(before, cpuOfServer(server.pid)) : null;
    const rows = await readRows(server, id);
    return {
      seconds,
      restartSeconds,
      samples,
      rows,
      cpu,
      kills: kills.length,
      ...(await store.run('count')),
    };
  } finally {
    await server.stop();
  }
}

/** What the database holds of an import, counted in its tables. */
async function readRows(server, id) {
  const client = new pg.Client((await server.observe()).database);
  await client.connect();
  try {
    const { rows } = await client.query(
      `select (select count(*) from import_entries where import_id = $1)::int as entries,
              (select count(distinct listed_key) from import_entries where import_id = $1)::int as keys,
              (select count(*) from import_entries where import_id = $1 and verdict is null)::int as undecided,
              (select count(*) from tasks where import_id = $1)::int as tasks,
              (select count(distinct source_key) from tasks where import_id = $1)::int as task_keys,
              (select count(*) from failed_files where import_id = $1)::int as failed,
              (select count(distinct source_key) from failed_files where import_id = $1)::int as failed_keys`,
      [id.slice('imp_'.length)],
    );
    return rows[0];
  } finally {
    await client.end();
  }
}

/** Least squares over the samples behind the warm-up: MB per 10,000 objects. */
function slopeOf(samples, count) {
  const points = samples.filter(({ planned }) => planned >= WARM_UP * count && planned < count);
  const mean = (pick) => points.reduce((sum, point) => sum + pick(point), 0) / points.length;
  const [meanX, meanY] = [mean(({ planned }) => planned), mean(({ rss }) => rss)];
  const covariance = mean(({ planned, rss }) => (planned - meanX) * (rss - meanY));
  const variance = mean(({ planned }) => (planned - meanX) ** 2);
  return (covariance / variance) * (10_000 / 1e6);
}

function print(whole, killed, { count, latencyMs }) {
  const megabytes = (bytes) => Math.round(bytes / 1e6);
  const rss = (run, pick) => megabytes(pick(...run.samples.map((sample) => sample.rss)));
  const head = [
    '',
    's',
    'objects/s',
    'RSS min MB',
    'max',
    'MB per 10,000',
    'LISTs',
    'GETs a look',
    'rows',
    'once',
    'undecided',
  ];
  const body = [whole, killed].map((run) => {
    const { rows } = run;
    const decided = rows.tasks + rows.failed;
    const isOnce =
      rows.keys === rows.entries && rows.task_keys === rows.tasks && rows.failed_keys === rows.failed;
    return [
      run.kills === 0
        ? 'in one go'
        : `killed ${run.kills} times (${run.restartSeconds.toFixed(1)} s to start again)`,
      run.seconds.toFixed(1),
      Math.round(count / (run.seconds - run.restartSeconds)),
      rss(run, Math.min),
      rss(run, Math.max),
      run.kills === 0 ? slopeOf(run.samples, count).toFixed(2) : '',
      run.lists,
      (run.gets / (count / 100)).toFixed(2),
      `${decided} of ${count}`,
      isOnce && rows.entries === count ? 'yes' : 'NO',
      rows.undecided,
    ];
  });
  const cpu = Object.entries(whole.cpu).map(([key, ms]) => `${key} ${(ms / 1000).toFixed(1)} s`);
  process.stdout.write(`
${count} objects in a bucket of a store on the loopback that waits ${latencyMs} ms before each answer; one in a hundred is a video that
is looked at, of the others their listing tells that they are none. From startImport until every object is decided. RSS of the
server's process (API and worker) right after garbage was collected; its slope by least squares from a tenth of the objects on. CPU of the first run: ${cpu.join(', ')}.
Node ${process.version}, ${cpus().length} CPUs.\n\n`);
  process.stdout.write(`${formatTable([head, ...body])}\n`);
}
