import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { installPeers } from './libraries.mjs';
import { formatTable, median } from './table.mjs';
import { startDatabase } from './tasks/database.mjs';
import { pagesOf } from './tasks/pages.mjs';
import { BARE, POSTGRAPHILE, SLUICE, STATEMENT, startLoad, startPeers } from './tasks/peers.mjs';
import { seed } from './tasks/seed.mjs';

const CONNECTIONS = [1, 10, 50];
/** The list whose size must not matter. */
const SMALL = 10_000;
const WARM = 3_000;

/**
 * Reads pages of a long list of tasks from our server and from others, by turns, on the same PostgreSQL; prints the table.
 * @param args --rows N (200000; a million shows that the size does not matter), --rounds N (1), --seconds S (2) for each figure
 */
export async function run(args) {
  const text = { type: 'string' };
  const { values } = parseArgs({ args, options: { rows: text, rounds: text, seconds: text, warm: text } });
  const options = {
    rows: Number(values.rows ?? 200_000),
    rounds: Number(values.rounds ?? 1),
    seconds: Number(values.seconds ?? 2),
    warm: Number(values.warm ?? WARM),
  };
  installPeers();
  const database = await startDatabase();
  try {
    const large = await measure(database, options);
    const small = await measure(database, { ...options, rows: SMALL, onlyOurs: true });
    print({ large, small, options });
  } finally {
    await database.stop();
  }
}

async function measure(database, { rows, rounds, seconds, warm, onlyOurs = false }) {
  const url = await database.create();
  const seeded = await seed(url, rows);
  const load = startLoad();
  const peers = await startPeers(url);
  try {
    const pages = await prepare(peers, pagesOf(seeded));
    const names = onlyOurs ? [SLUICE] : [...peers.keys(), STATEMENT];
    for (const [name, { url: at }] of peers)
      if (names.includes(name))
        await load.run({ url: at, body: pages['page 1'].bodies.get(name), connections: 10, amount: warm });
    const figures = [];
    let turn = 0;
    for (let round = 0; round < rounds; round += 1)
      // There and back, so that nobody always comes after the same one.
      for (const [page, { bodies, statement }] of Object.entries(pages))
        for (const connections of CONNECTIONS)
          for (const name of turn++ % 2 === 0 ? names : names.toReversed()) {
            const order =
              name === STATEMENT ? { url, statement } : { url: peers.get(name).url, body: bodies.get(name) };
            figures.push({
              page,
              connections,
              name,
              round,
              ...(await load.run({ ...order, connections, seconds })),
            });
          }
    return figures;
  } finally {
    load.stop();
    for (const peer of peers.values()) await peer.stop();
  }
}

/** Finds the cursors of pages that are far down, and makes sure that all give the same rows. */
async function prepare(peers, pages) {
  const prepared = {};
  for (const [page, { ours, theirs, skip }] of Object.entries(pages)) {
    const bodies = new Map();
    const found = new Map();
    // Ours are good for the bare server, too: it is the same schema.
    const cursors = new Map();
    for (const [name, peer] of peers) {
      const { query, variables } = peer.isOurs ? ours : theirs;
      if (skip > 0 && !cursors.has(query))
        cursors.set(query, await cursorAt(peer, { query, variables, skip }));
      const after = cursors.get(query) ?? null;
      const body = JSON.stringify({ query, variables: { ...variables, after } });
      bodies.set(name, body);
      const { edges, totalCount } = await peer.ask(body);
      found.set(name, edges?.map(({ node }) => (node.rowId ?? node.id).slice(-36)).join() ?? totalCount);
    }
    if (new Set(found.values()).size > 1) throw new Error(`the servers disagree about ${page}`);
    prepared[page] = { bodies, statement: await peers.get(BARE).statement(bodies.get(BARE)) };
  }
  return prepared;
}

/** Ours is found page by page, as a client does it; PostGraphile jumps. */
async function cursorAt(peer, { query, variables, skip }) {
  if (!peer.isOurs) {
    const asked = { ...variables, first: 1, offset: skip - 1 };
    return (await peer.ask(JSON.stringify({ query, variables: asked }))).pageInfo.endCursor;
  }
  const narrow =
    'query ($first: Int!, $after: String) { tasks(first: $first, after: $after) { pageInfo { endCursor } } }';
  let after = null;
  for (let left = skip; left > 0; left -= 100) {
    const asked = { first: Math.min(left, 100), after };
    after = (await peer.ask(JSON.stringify({ query: narrow, variables: asked }))).pageInfo.endCursor;
  }
  return after;
}

function print({ large, small, options }) {
  const { rows, rounds, seconds } = options;
  process.stdout.write(`\nPages of 20 out of ${rows} tasks; medians of ${rounds} rounds of ${seconds} s each, in turn; Node ${process.version}, ${cpus().length} CPUs, load ${loadavg()[0].toFixed(1)}.
Requests a second, and their 95th percentile in ms; "x": requests of Sluice to theirs. Sluice looks at its key, PostGraphile and the bare server have none.\n\n`);
  process.stdout.write(`${formatTable([HEAD, ...tableOf(large)])}\n\n`);
  const [first, deep] = [...new Set(large.map(({ page }) => page))];
  const p95 = (figures, page, connections) => middle(figures, { name: SLUICE, page, connections }, 'p95');
  const body = CONNECTIONS.map((connections) => [
    connections,
    (p95(large, deep, connections) / p95(large, first, connections)).toFixed(2),
    (p95(large, first, connections) / p95(small, first, connections)).toFixed(2),
  ]);
  process.stdout.write("Sluice's 95th percentiles compared.\n\n");
  process.stdout.write(
    `${formatTable([['connections', `${deep} to ${first}`, `${rows} to ${SMALL} rows`], ...body])}\n`,
  );
}

const OTHERS = [POSTGRAPHILE, BARE, STATEMENT];
const HEAD = ['', 'connections', SLUICE, 'p95', ...OTHERS.flatMap((name) => [name, 'p95', 'x'])];

function tableOf(figures) {
  const cells = new Map(
    figures.map(({ page, connections }) => [`${page} ${connections}`, { page, connections }]),
  );
  return [...cells.values()].map((cell) => {
    const of = (name, key) => middle(figures, { ...cell, name }, key);
    const rates = (name) => figures.filter((row) => isOf(row, { ...cell, name }));
    const times = (name) => rates(SLUICE).map(({ rate }, at) => rate / (rates(name)[at]?.rate ?? Number.NaN));
    return [
      cell.page,
      cell.connections,
      Math.round(of(SLUICE, 'rate')),
      of(SLUICE, 'p95').toFixed(1),
      ...OTHERS.flatMap((name) => [
        Math.round(of(name, 'rate')),
        of(name, 'p95').toFixed(1),
        median(times(name)).toFixed(2),
      ]),
    ];
  });
}

const isOf = (row, { page, connections, name }) =>
  row.page === page && row.connections === connections && row.name === name;

/** The median of a figure; NaN of a server that is not there. */
function middle(figures, of, key) {
  const found = figures.filter((row) => isOf(row, of)).map((row) => row[key] ?? Number.NaN);
  return found.length === 0 ? Number.NaN : median(found);
}
