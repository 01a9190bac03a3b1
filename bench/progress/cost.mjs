import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { clipFileName, makeClips } from '../../dist/demo/clips.js';
import { startOrigin } from '../../dist/demo/origin.js';
import { createProgressReporter } from '../../dist/events/progress.js';
import { withMark } from '../plan/clips.mjs';
import { post } from './post.mjs';
import { startSluice } from './processes.mjs';

const SMALL = 200;
const LARGE_BYTES = 60e6;
const LARGE_SECONDS = 60;
const CLIP = {
  name: 'clip',
  container: 'mp4',
  muxerOptions: { movflags: '+faststart' },
  width: 480,
  height: 360,
  seconds: 5,
  bitrate: 300_000,
  seed: 1,
};
const FLUSH_MS = 150;
/** So long the statistics of a session that has ended may take. */
const STATISTICS_MS = 1_500;
const TABLES = ['task_progress', 'jobs', 'tasks'];
const START = `mutation ($input: StartImportInput!) {
  startImport(input: $input) { __typename ... on Error { message } ... on StartImportSuccess { import { id } } }
}`;
const INDEX = `mutation ($input: CreateIndexInput!) {
  createIndex(input: $input) { __typename ... on Error { message } ... on CreateIndexSuccess { index { id } } }
}`;
const LOOK = 'query ($id: ID!) { import(id: $id) { finished counts { found ready } } }';

/**
 * What an import leaves in the write-ahead log and in the tables, for many small videos and for one that is transferred for a
 * minute; with progress, and without what writes it.
 */
export async function measureCost(database) {
  await settle(database.pool);
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-clips-'));
  try {
    const loads = await makeLoads(folder);
    const rows = [];
    for (const load of loads)
      for (const isReporting of [true, false]) {
        process.stderr.write(`${load.name}${isReporting ? '' : ', without progress'}\n`);
        rows.push({
          name: load.name,
          videos: load.files.length,
          isReporting,
          ...(await run(database, load, isReporting)),
        });
      }
    return rows;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * From now on nothing is counted that comes by chance: rows that are cleared away, and pages that are logged whole because there
 * was a checkpoint.
 */
async function settle(pool) {
  for (const name of ['autovacuum', 'full_page_writes']) await pool.query(`alter system set ${name} = off`);
  await pool.query('select pg_reload_conf()');
}

async function makeLoads(folder) {
  await makeClips([CLIP], folder);
  const clip = await readFile(join(folder, clipFileName(CLIP)));
  const write = async (name, contents) => {
    const path = join(folder, name);
    await mkdir(path);
    await Promise.all(contents.map((bytes, n) => writeFile(join(path, `${n}.mp4`), bytes)));
    return { folder: path, files: contents.map((_, n) => `${n}.mp4`) };
  };
  // What stands behind the clip is free space.
  const free = Buffer.alloc(LARGE_BYTES - clip.length);
  free.writeUInt32BE(free.length);
  free.write('free', 4, 'latin1');
  return [
    {
      name: `${SMALL} clips of ${Math.round(clip.length / 1e3)} kB`,
      ...(await write(
        'small',
        Array.from({ length: SMALL }, (_, n) => withMark(clip, 'mp4', n)),
      )),
    },
    {
      name: `one of ${LARGE_BYTES / 1e6} MB in ${LARGE_SECONDS} s`,
      ...(await write('large', [Buffer.concat([clip, free])])),
      bytesPerSecond: LARGE_BYTES / LARGE_SECONDS,
    },
  ];
}

async function run(database, { folder, files, bytesPerSecond }, isReporting) {
  const { pool } = database;
  const origin = await startOrigin(folder, bytesPerSecond === undefined ? {} : { bytesPerSecond });
  const server = await startSluice(database, {
    role: 'all',
    preload: isReporting ? [] : ['./no-reports.mjs'],
    settings: { SLUICE_ALLOW_ADDRESSES: origin.allowAddress },
  });
  let stopped;
  const stop = () => (stopped ??= server.stop());
  try {
    const [tables, wal] = [await readTables(pool), await readWal(pool)];
    await bring(server.url, origin, files);
    const walBytes = (await readWal(pool)) - wal;
    await stop();
    return { walBytes, tables: tablesSince(tables, await readTables(pool)) };
  } finally {
    await stop();
    await origin.close();
    await pool.query('truncate task_progress');
  }
}

/** Imports the files into an index of their own, where nothing is known yet; to its end. */
async function bring(url, origin, files) {
  const name = `bench-${process.hrtime.bigint()}`;
  const { createIndex } = await post(url, INDEX, { input: { name } });
  const videos = files.map((file) => ({ externalId: file, fileName: file, url: origin.url(file) }));
  const from = { videos: { systemName: name, videos } };
  const { startImport } = await post(url, START, { input: { from, indexId: createIndex.index.id } });
  if (!startImport.import) throw new Error(JSON.stringify(startImport));
  for (;;) {
    const { finished, counts } = (await post(url, LOOK, { id: startImport.import.id })).import;
    if (finished && counts.ready === files.length) return;
    if (finished) throw new Error(`not all came in: ${JSON.stringify(counts)}`);
    await sleep(250);
  }
}

/** What the reports of twenty running tasks alone cost, flushed so many times. */
export async function measureFlushes(database, flushes) {
  const { pool, db, log, reports } = database;
  await settle(pool);
  const countWritten = async () => {
    const { rows } = await pool.query('select sum(version)::int as written from task_progress');
    return rows[0].written;
  };
  const report = (row, n) => ({
    ...row,
    ...{ attempt: 1, stage: 'UPLOAD', stageFraction: n / flushes, fraction: n / flushes },
    ...{ bytesDone: n * 1e6, bytesTotal: flushes * 1e6 },
  });
  const reporter = createProgressReporter({ db, log });
  try {
    for (const row of reports) reporter.report(report(row, 0));
    await sleep(500);
    const [wal, written] = [await readWal(pool), await countWritten()];
    for (let n = 1; n <= flushes; n += 1) {
      for (const row of reports) reporter.report(report(row, n));
      await sleep(FLUSH_MS);
    }
    await sleep(500);
    return {
      bytes: (await readWal(pool)) - wal,
      reports: (await countWritten()) - written,
      tasks: reports.length,
    };
  } finally {
    await reporter.stop();
  }
}

async function readWal(pool) {
  const { rows } = await pool.query(`select (pg_current_wal_insert_lsn() - '0/0')::float8 as bytes`);
  return rows[0].bytes;
}

/** What was done to tables, as far as sessions that have ended tell. */
async function readTables(pool) {
  await sleep(STATISTICS_MS);
  const { rows } = await pool.query(
    `select relname as name, n_tup_upd::int as updated, n_tup_hot_upd::int as hot, n_tup_del::int as deleted
       from pg_stat_user_tables where relname = any($1)`,
    [TABLES],
  );
  return rows;
}

const difference = (before, after) =>
  Object.fromEntries(
    Object.entries(after).map(([key, value]) => [
      key,
      typeof value === 'number' ? value - before[key] : value,
    ]),
  );

const tablesSince = (before, after) =>
  after.map((table) =>
    difference(
      before.find(({ name }) => name === table.name),
      table,
    ),
  );
