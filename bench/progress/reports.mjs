import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { WebSocket } from 'ws';
import { createProgressReporter } from '../../dist/events/progress.js';
import { cpuOfTree, percentile } from '../jobs/support.mjs';
import { connect, KEY } from './database.mjs';
import { LIVE } from './documents.mjs';
import { startApi } from './processes.mjs';

const LONE_SAMPLES = 40;
const TICK_MS = 10;

const toReport = (row, fraction) => ({
  ...row,
  attempt: 1,
  stage: 'UPLOAD',
  stageFraction: fraction,
  fraction,
  bytesDone: Math.round(fraction * 1e9),
  bytesTotal: 1e9,
});

/** One UPDATE with its NOTIFY for each report, committed by itself: what most would write. */
async function createPlain({ url, reports }) {
  const pool = new pg.Pool({ connectionString: url, max: 10 });
  // A connection may still be on its way to its end when the database stops.
  pool.on('error', () => {});
  await pool.query(
    `create table if not exists bench_tasks (id uuid primary key, fraction float8, updated_at timestamptz, pad text) with (fillfactor = 60)`,
  );
  await pool.query(
    `insert into bench_tasks select "taskId", 0, now(), repeat('x', 200) from jsonb_to_recordset($1::jsonb) as r("taskId" uuid)
     on conflict do nothing`,
    [JSON.stringify(reports)],
  );
  return {
    report: ({ taskId, fraction, at }) =>
      pool.query({
        name: 'report',
        text: `with u as (update bench_tasks set fraction = $2, updated_at = now() where id = $1 returning id)
               select pg_notify('bench', $3) from u`,
        values: [taskId, fraction, String(at ?? 0)],
      }),
    end: () => pool.end(),
  };
}

/** One report with nothing else going on: until a subscriber has it, beside until a listener has the plain one. */
export async function measureLone(database) {
  const api = await startApi(database);
  const socket = await subscribe(api.url, database.importId);
  const reporter = createProgressReporter({ db: database.db, log: database.log });
  const plain = await createPlain(database);
  const listener = await connect(database.url);
  await listener.query('listen bench');
  await listener.query('listen sluice_changes');
  const [ours, heard, theirs] = [[], [], []];
  try {
    for (let n = 1; n <= LONE_SAMPLES; n += 1) {
      const told = nextOf(socket);
      const begin = performance.now();
      const hint = new Promise((resolve) => listener.once('notification', resolve));
      reporter.report(toReport(database.reports[0], n / LONE_SAMPLES));
      await Promise.all([
        hint.then(() => heard.push(performance.now() - begin)),
        told.then(() => ours.push(performance.now() - begin)),
      ]);
      await sleep(150 + Math.random() * 50);
      const notified = new Promise((resolve) => listener.once('notification', resolve));
      const start = performance.now();
      await plain.report({ taskId: database.reports[0].taskId, fraction: n / LONE_SAMPLES });
      await notified;
      theirs.push(performance.now() - start);
    }
  } finally {
    socket.terminate();
    await Promise.all([reporter.stop(), plain.end(), listener.end()]);
    await api.stop();
  }
  return {
    ours: percentile(ours, 50),
    ours99: percentile(ours, 99),
    heard: percentile(heard, 50),
    theirs: percentile(theirs, 50),
  };
}

async function subscribe(url, importId) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const payload = { query: LIVE, variables: { id: `imp_${importId}` } };
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${KEY}` } }));
  await nextOf(socket);
  socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload }));
  // Until the snapshot is over.
  for (let quiet = performance.now(); performance.now() - quiet < 1_000; )
    await Promise.race([
      nextOf(socket).then(() => {
        quiet = performance.now();
      }),
      sleep(200),
    ]);
  return socket;
}

const nextOf = (socket) => new Promise((resolve) => socket.once('message', resolve));

/** Reports of one worker of ours at a rate: what they cost PostgreSQL, and whether it keeps up. */
export async function measureReports(database, { perSecond, seconds }) {
  await database.pool.query('checkpoint');
  const reporter = createProgressReporter({ db: database.db, log: database.log });
  const report = (row, fraction) => reporter.report(toReport(row, fraction));
  const figures = await load(database, { perSecond, seconds }, report);
  const begin = performance.now();
  await reporter.stop();
  return { name: 'Sluice', perSecond, ...figures, behind: performance.now() - begin };
}

/** The same with a statement for each. */
export async function measurePlainReports(database, { perSecond, seconds }) {
  await database.pool.query('checkpoint');
  const plain = await createPlain(database);
  const pending = [];
  const figures = await load(database, { perSecond, seconds }, (row, fraction) => {
    pending.push(plain.report({ taskId: row.taskId, fraction }));
  });
  const begin = performance.now();
  const before = cpuOfTree(database.postmaster);
  await Promise.all(pending);
  // What it was behind with was reported, too.
  const cpu = figures.cpu + ((cpuOfTree(database.postmaster) - before) / pending.length) * 1e6;
  await plain.end();
  return { name: 'UPDATE + NOTIFY each', perSecond, cpu, behind: performance.now() - begin };
}

async function load({ postmaster, reports }, { perSecond, seconds }, report) {
  const running = reports.slice(0, 200);
  const before = cpuOfTree(postmaster);
  const begin = performance.now();
  let sent = 0;
  while (sent < perSecond * seconds) {
    const due = Math.min(((performance.now() - begin) / 1000) * perSecond, perSecond * seconds);
    for (; sent < due; sent += 1) report(running[sent % running.length], (sent % 1000) / 1000);
    await sleep(TICK_MS);
  }
  return { cpu: ((cpuOfTree(postmaster) - before) / sent) * 1e6 };
}
