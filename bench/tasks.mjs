import { parseArgs } from 'node:util';
import { cpuOfTree } from './jobs/support.mjs';
import { installPeers } from './libraries.mjs';
import { startDatabase } from './tasks/database.mjs';
import { pagesOf } from './tasks/pages.mjs';
import { SLUICE, STATEMENT, startLoad, startPeers } from './tasks/peers.mjs';
import { prepare } from './tasks/prepare.mjs';
import { print } from './tasks/report.mjs';
import { seed } from './tasks/seed.mjs';

const CONNECTIONS = [1, 10, 50];
/** The list whose size must not matter. */
const SMALL = 10_000;

/**
 * Reads pages of a long list of tasks from our server and from others, by turns, on the same PostgreSQL; prints the table.
 * @param args --rows N (1000000; a tenth will do for a trial), --rounds N (5), --seconds S (1) for each figure,
 *   --warm S (2) of each page for each server before, --only TEXT in the names of the pages
 */
export async function run(args) {
  const text = { type: 'string' };
  const { values } = parseArgs({
    args,
    options: { rows: text, rounds: text, seconds: text, warm: text, only: text },
  });
  const options = {
    rows: Number(values.rows ?? 1_000_000),
    rounds: Number(values.rounds ?? 5),
    seconds: Number(values.seconds ?? 1),
    warm: Number(values.warm ?? 2),
    only: values.only ?? '',
  };
  installPeers();
  const database = await startDatabase();
  try {
    const large = await measure(database, options);
    const small = await measure(database, { ...options, rows: SMALL, onlyOurs: true });
    print({ large, small, shortRows: SMALL, options });
  } finally {
    await database.stop();
  }
}

async function measure(database, { rows, rounds, seconds, warm, only, onlyOurs = false }) {
  const url = await database.create();
  const seeded = await seed(url, rows);
  const load = startLoad();
  const peers = await startPeers(url);
  try {
    const asked = Object.entries(pagesOf(seeded)).filter(([page], at) => at === 0 || page.includes(only));
    const pages = Object.entries(await prepare(peers, onlyOurs ? asked.slice(0, 1) : asked));
    const names = onlyOurs ? [SLUICE] : [...peers.keys(), STATEMENT];
    for (const [name, { url: at }] of peers)
      if (names.includes(name))
        for (const [, { bodies }] of pages)
          await load.run({ url: at, body: bodies.get(name), connections: 10, seconds: warm });
    const figures = [];
    for (let round = 0; round < rounds; round += 1)
      for (const [page, { bodies, statement }] of pages)
        for (const connections of CONNECTIONS)
          for (const name of turned(names, round)) {
            const peer = peers.get(name);
            const order = peer ? { url: peer.url, body: bodies.get(name) } : { url, statement };
            const measured = await used({ peer, postmaster: database.postmaster }, () =>
              load.run({ ...order, connections, seconds }),
            );
            figures.push({ page, connections, name, ...measured });
          }
    return figures;
  } finally {
    load.stop();
    for (const peer of peers.values()) await peer.stop();
  }
}

/** Another one begins in each round, and every other one goes backwards: nobody always comes after the same one. */
function turned(names, round) {
  const from = round % names.length;
  const list = [...names.slice(from), ...names.slice(0, from)];
  return round % 2 === 0 ? list : list.reverse();
}

/** What a load measures, with the microseconds of CPU for each of its requests: of the server's process, and of PostgreSQL's. */
async function used({ peer, postmaster }, run) {
  const read = async () => ({ cpu: (await peer?.cpu()) ?? Number.NaN, database: cpuOfTree(postmaster) });
  const before = await read();
  const measured = await run();
  const after = await read();
  const each = (key) => ((after[key] - before[key]) / measured.count) * 1e6;
  return { ...measured, cpu: each('cpu'), database: each('database') };
}
