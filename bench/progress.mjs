import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { openDatabase } from './progress/database.mjs';
import { measureFanout } from './progress/fanout.mjs';
import { printLarge } from './progress/large.mjs';
import { measurePaced } from './progress/paced.mjs';
import { measureLone, measurePlainReports, measureReports } from './progress/reports.mjs';
import { formatTable, median } from './table.mjs';

const VIDEOS = 2_000;
const RUNNING = 200;
const SECONDS = 4;
const DELIVERIES = 40_000;
const BASE = 'graphql-yoga + graphql-ws';

/**
 * One import with many subscribers, and many reports of one worker, beside what others do; prints the tables.
 * @param args --rounds N (1), --subscribers N,N (1,100,1000), --tasks N (20, that change at once), --part fanout|paced|reports|large,
 *   --large N (100000, tasks of the large import), --only snapshot|cancel|cost (of that part)
 */
export async function run(args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string' },
      subscribers: { type: 'string' },
      tasks: { type: 'string' },
      part: { type: 'string' },
      large: { type: 'string' },
      only: { type: 'string' },
    },
  });
  const counts = (values.subscribers ?? '1,100,1000').split(',').map(Number);
  const options = { counts, tasks: Number(values.tasks ?? 20), rounds: Number(values.rounds ?? 1) };
  const wants = (part) => values.part === undefined || values.part === part;
  process.stdout.write(
    `Node ${process.version}, ${cpus().length} CPUs; medians of ${options.rounds} rounds\n`,
  );
  if (wants('fanout')) await printFanout(options);
  if (wants('large')) await printLarge({ large: Number(values.large ?? 100_000), only: values.only });
  if (!wants('paced') && !wants('reports')) return;
  const database = await openDatabase({ videos: VIDEOS, running: RUNNING });
  try {
    if (wants('paced')) await printPaced(database, options);
    if (wants('reports')) await printReports(database, options);
  } finally {
    await database.stop();
  }
}

async function repeat(rounds, measure) {
  const rows = [];
  for (let round = 0; round < rounds; round += 1)
    rows.push(...(await measure(round)).map((row) => ({ ...row, round })));
  return rows;
}

/** The middle figure of the rounds, and the middle one of its ratios to the base of the same round. */
function summarize(rows, of) {
  const own = rows.filter((row) => of.every(([key, value]) => row[key] === value));
  const base = (row) =>
    rows.find(
      ({ name, count, tasks, round }) =>
        name === BASE && count === row.count && tasks === row.tasks && round === row.round,
    );
  const figure = (key) => median(own.map((row) => row[key]));
  const ratio = (key) => median(own.map((row) => row[key] / base(row)?.[key]));
  return { figure, ratio };
}

const round = (value, digits = 1) => (Number.isFinite(value) ? value.toFixed(digits) : '-');
const distinct = (rows, keys) => [
  ...new Map(
    rows.map((row) => [keys.map((key) => row[key]).join(), keys.map((key) => [key, row[key]])]),
  ).values(),
];

async function printFanout({ counts, rounds }) {
  const many = counts.filter((count) => count > 1);
  const rows = await repeat(rounds, async (at) => [
    ...(await measureFanout({ counts: many, deliveries: DELIVERIES, tasks: 1, round: at })),
  ]);
  const body = distinct(rows, ['count', 'name']).map((of) => {
    const { figure, ratio } = summarize(rows, of);
    return [
      `${of[0][1]}: ${of[1][1]}`,
      round(figure('rate'), 0),
      round(ratio('rate'), 2),
      round(figure('cpu')),
      round(ratio('cpu'), 2),
      round(figure('bytes'), 0),
    ];
  });
  const head = ['subscribers: server', 'deliveries/s', 'x', 'CPU µs each', 'x', 'bytes'];
  process.stdout.write(`
The same event with one task to all subscribers, one after the other as fast as it goes, without a database. x: to plain
graphql-yoga + graphql-ws.

${formatTable([head, ...body])}\n`);
}

async function printPaced(database, { counts, rounds, tasks }) {
  const rows = await repeat(rounds, (at) =>
    measurePaced(database, { counts, seconds: SECONDS, tasks, round: at }),
  );
  const body = distinct(rows, ['count', 'name']).map((of) => {
    const { figure, ratio } = summarize(rows, of);
    return [
      `${of[0][1]}: ${of[1][1]}`,
      round(figure('p50')),
      round(figure('p99')),
      round(ratio('p99'), 2),
      round(figure('rate'), 0),
      round(figure('cpu')),
      round(ratio('cpu'), 2),
      round(figure('statements')),
      round(figure('perSubscriber') / 1024, 0),
      round(figure('rss') / 1e6, 0),
      round(figure('bytes'), 0),
    ];
  });
  const head = [
    'subscribers: server',
    'p50 ms',
    'p99 ms',
    'x',
    'messages/s',
    'CPU µs each',
    'x',
    'SQL a flush',
    'KiB a subscriber',
    'RSS MB',
    'bytes',
  ];
  process.stdout.write(`
One import of ${VIDEOS} videos, ${tasks} of which change five times a second in one statement; from before that statement until a subscriber
has the message. All servers hear of it over LISTEN and read it from PostgreSQL; CPU is that of the server's process.

${formatTable([head, ...body])}\n`);
}

async function printReports(database, { rounds }) {
  const lone = [];
  const rows = [];
  for (let at = 0; at < rounds; at += 1) {
    lone.push(await measureLone(database));
    for (const perSecond of [2_000, 10_000])
      rows.push(await measureReports(database, { perSecond, seconds: SECONDS }));
    rows.push(await measurePlainReports(database, { perSecond: 2_000, seconds: SECONDS }));
  }
  const of = (key) => median(lone.map((figures) => figures[key]));
  process.stdout.write(`
A lone report until a listener is notified: p50 ${round(of('heard'))} ms, and until a subscriber has read it: p50 ${round(of('ours'))} ms, p99
${round(of('ours99'))} ms; an autocommitted UPDATE + NOTIFY until its listener is notified: p50 ${round(of('theirs'))} ms. Ratio of the listeners
${round(median(lone.map(({ heard, theirs }) => heard / theirs)), 2)}, of the subscriber ${round(median(lone.map(({ ours, theirs }) => ours / theirs)), 2)}.\n`);
  const body = distinct(rows, ['perSecond', 'name']).map((key) => {
    const own = rows.filter((row) => key.every(([name, value]) => row[name] === value));
    return [
      `${key[0][1]}/s: ${key[1][1]}`,
      round(median(own.map(({ cpu }) => cpu))),
      round(median(own.map(({ behind }) => behind)), 0),
    ];
  });
  process.stdout.write(`
Reports of ${RUNNING} videos by one worker.

${formatTable([['reports', 'PostgreSQL CPU µs each', 'behind at the end, ms'], ...body])}\n`);
}
