import { formatTable } from '../table.mjs';
import { measureCancel } from './cancel.mjs';
import { measureCost, measureFlushes } from './cost.mjs';
import { openDatabase } from './database.mjs';
import { measureSnapshot } from './snapshot.mjs';

const SMALL = 20;
const FLUSHES = 50;

/** Imports that are large: followed from their beginning, canceled, and what progress costs the database; prints the tables. */
export async function printLarge({ large, only }) {
  const wants = (name) => only === undefined || only === name;
  const database = await openDatabase({ videos: SMALL, running: SMALL });
  try {
    if (wants('snapshot')) printSnapshot(await measureSnapshot(database, large), large);
    if (wants('cancel')) printCancel(await measureCancel(database, large), large);
    if (wants('cost')) printCost(await measureCost(database), await measureFlushes(database, FLUSHES));
  } finally {
    await database.stop();
  }
}

const round = (value, digits = 1) => (Number.isFinite(value) ? value.toFixed(digits) : '-');
const megabytes = (bytes) => round(bytes / 1e6, bytes < 1e6 ? 2 : 0);
const LOAD_HEAD = [
  'loop p50 ms',
  'p99',
  'max',
  'own p99',
  'max',
  'CPU s',
  'SQL',
  'RSS before MB',
  'peak',
  'after',
];
const loadOf = ({ loop, own, cpu, statements, rss }) => [
  ...[loop.p50, loop.p99, loop.max, own.p99, own.max].map((ms) => round(ms)),
  round(cpu / 1000),
  statements,
  ...[rss.before, rss.peak, rss.after].map(megabytes),
];

function printSnapshot(rows, tasks) {
  const body = rows.map((row) => [
    row.name,
    ...[round(row.seconds), row.events, megabytes(row.bytes)],
    ...loadOf(row),
    ...[row.small.p50, row.small.p99].map((ms) => round(ms)),
  ]);
  const head = ['who comes', 's', 'events', 'MB', ...LOAD_HEAD, 'small p50 ms', 'p99'];
  process.stdout.write(`
The snapshot of an import of ${tasks} tasks over WebSocket, and as long without one. Loop: the delay of the API's event loop; own: the CPU
that its process used within one tick of 10 ms, which is that delay without what other processes took. Small: another subscriber,
of an import of ${SMALL} videos one of which changes five times a second; from before the statement to the message.

${formatTable([head, ...body])}\n`);
}

function printCancel({ stored, answered, finished, told, api, worker, writes }, tasks) {
  const loads = [
    ['process', ...LOAD_HEAD],
    ['API', ...loadOf(api)],
    ['worker', ...loadOf(worker)],
  ];
  const watchers = told.map(({ name, events, bytes, seconds }) => [
    WATCHERS[name],
    events,
    megabytes(bytes),
    round(seconds),
  ]);
  const waits = Object.entries(writes).map(([name, { count, ...figures }]) => [
    name,
    count,
    ...Object.values(figures).map((ms) => round(ms, 0)),
  ]);
  process.stdout.write(`
cancelImport of ${tasks} tasks that wait, with three subscribers: answered after ${round(answered)} s, finished after ${round(finished)} s, ${stored.counts.canceled} of
${stored.counts.found} CANCELED; all three were told the final state of everything. The worker's SQL is not counted.

${formatTable(loads)}

${formatTable([['subscriber, from its beginning', 'events', 'MB', 'told the end, s'], ...watchers])}

startImport of one video in the same team and index, one after the other:

${formatTable([['calls', 'n', 'p50 ms', 'p99', 'max'], ...waits])}\n`);
}

const WATCHERS = {
  WHOLE: 'importProgress',
  COUNTS: 'importProgress, tasks: false',
  FEED: 'tasksChanged',
};

function printCost(rows, { bytes, reports, tasks }) {
  const head = [
    'import',
    'progress',
    'WAL kB a video',
    ...['task_progress', 'tasks', 'jobs'].flatMap((name) => [`${name}: dead`, 'HOT']),
  ];
  const body = rows.map(({ name, videos, isReporting, walBytes, tables }) => [
    name,
    isReporting ? 'yes' : 'no',
    round(walBytes / 1e3 / videos),
    ...['task_progress', 'tasks', 'jobs'].flatMap((name_) => {
      const { updated, deleted, hot } = tables.find((table) => table.name === name_);
      return [round((updated + deleted) / videos), round(hot / videos)];
    }),
  ]);
  process.stdout.write(`
What an import by the embedded worker costs the database, a video: WAL without images of whole pages, which depend on checkpoints;
dead: versions of rows that were replaced or deleted, HOT those of them that need no vacuum. Without progress: the statement that
writes it is left out. ${reports} reports of ${tasks} videos, flushed ${reports / tasks} times, alone: ${round(bytes / reports, 0)} bytes of WAL each, ${round(bytes / 1e3)} kB in all.

${formatTable([head, ...body])}\n`);
}
