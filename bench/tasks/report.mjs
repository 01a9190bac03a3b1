import { cpus, loadavg } from 'node:os';
import { formatTable, median } from '../table.mjs';
import { BARE, POSTGRAPHILE, SLUICE, STATEMENT } from './peers.mjs';

const HEAD = ['', 'connections', 'server', 'requests/s', 'x', 'p95 ms', 'CPU', 'x CPU', 'of PostgreSQL'];

/** Prints what was measured of the long list, and how that compares with the short one. */
export function print({ large, small, shortRows, options }) {
  const { rows, rounds, seconds } = options;
  process.stdout.write(`\nPages of 20 out of ${rows} tasks; medians of ${rounds} rounds of ${seconds} s each, in turn; Node ${process.version}, ${cpus().length} CPUs, load ${loadavg()[0].toFixed(1)}.
"CPU": microseconds of the server's process for each request, and of PostgreSQL's for it. "x": Sluice to them, in the same round;
more requests are better, and less CPU. Sluice checks its key, PostGraphile and the bare server have none.\n\n`);
  process.stdout.write(`${formatTable([HEAD, ...tableOf(large)])}\n\n`);
  process.stdout.write("Sluice's 95th percentiles compared.\n\n");
  process.stdout.write(`${formatTable(compared(large, small, [rows, shortRows]))}\n`);
}

function tableOf(figures) {
  const cells = new Map(
    figures.map(({ page, connections }) => [`${page} ${connections}`, { page, connections }]),
  );
  return [...cells.values()].flatMap((cell) =>
    [SLUICE, POSTGRAPHILE, BARE, STATEMENT].flatMap((name) => {
      const own = figures.filter((row) => isOf(row, { ...cell, name }));
      if (own.length === 0) return [];
      const ours = figures.filter((row) => isOf(row, { ...cell, name: SLUICE }));
      const ratio = (key) => median(own.map((row, at) => (ours[at]?.[key] ?? Number.NaN) / row[key]));
      return [
        [
          name === SLUICE ? cell.page : '',
          name === SLUICE ? cell.connections : '',
          name,
          Math.round(middle(own, 'rate')),
          ratio('rate').toFixed(2),
          middle(own, 'p95').toFixed(1),
          name === STATEMENT ? '' : Math.round(middle(own, 'cpu')),
          name === STATEMENT ? '' : ratio('cpu').toFixed(2),
          Math.round(middle(own, 'database')),
        ],
      ];
    }),
  );
}

function compared(large, small, [rows, shortRows]) {
  const [first, deep] = [...new Set(large.map(({ page }) => page))];
  const p95 = (figures, page, connections) =>
    middle(
      figures.filter((row) => isOf(row, { name: SLUICE, page, connections })),
      'p95',
    );
  const body = [...new Set(large.map(({ connections }) => connections))].map((connections) => [
    connections,
    (p95(large, deep, connections) / p95(large, first, connections)).toFixed(2),
    (p95(large, first, connections) / p95(small, first, connections)).toFixed(2),
  ]);
  return [['connections', `${deep} to ${first}`, `${rows} to ${shortRows} rows`], ...body];
}

const isOf = (row, { page, connections, name }) =>
  row.page === page && row.connections === connections && row.name === name;

const middle = (figures, key) => median(figures.map((row) => row[key]));
