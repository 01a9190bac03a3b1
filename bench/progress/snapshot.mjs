import { setTimeout as sleep } from 'node:timers/promises';
import { percentile } from '../jobs/support.mjs';
import { now } from './clock.mjs';
import { WATCH } from './documents.mjs';
import { insertLargeImport } from './large-import.mjs';
import { loadOf } from './load-of.mjs';
import { flush } from './paced.mjs';
import { startApi, startClients, startWatchers } from './processes.mjs';

const QUIET_SECONDS = 10;
const LIMIT_MS = 600_000;
const WARM_UP = 3;

/** The snapshot of a large import, beside a small one that is followed: a row for nobody, and for each kind of subscriber. */
export async function measureSnapshot(database, tasks) {
  const id = `imp_${await insertLargeImport(database, tasks)}`;
  const api = await startApi(database);
  try {
    // What is compiled once is no part of it.
    await watch(database, api, { name: 'warm-up', kinds: ['WHOLE'], id, tasks: Math.ceil(tasks / 10) });
    const rows = [];
    for (const [name, kinds] of [
      ['nobody', []],
      ['tasks: false', ['COUNTS']],
      ['one subscriber', ['WHOLE']],
      ['ten subscribers', Array.from({ length: 10 }, () => 'WHOLE')],
    ])
      rows.push(await watch(database, api, { name, kinds, id, tasks }));
    return rows;
  } finally {
    await api.stop();
  }
}

async function watch(database, api, { name, kinds, id, tasks }) {
  process.stderr.write(`${name}\n`);
  const payload = { query: WATCH, variables: { id: `imp_${database.importId}`, tasks: true } };
  const small = await startClients({ url: api.url, payload, count: 1 });
  await flush(database, { seconds: WARM_UP, tasks: 1 });
  await small.ask({ begin: true });
  const isSnapshot = kinds.includes('WHOLE');
  let [watchers, begin] = [undefined, 0];
  try {
    const { result: known, ...load } = await loadOf(api, async () => {
      const watches = kinds.map((kind) => ({ name: kind, kind, id }));
      if (watches.length > 0) watchers = await startWatchers({ url: api.url, watches });
      begin = now();
      const stop = keepFlushing(database);
      try {
        if (isSnapshot) return await untilKnown(watchers, tasks);
        await sleep(QUIET_SECONDS * 1000);
        return (await watchers?.ask())?.known ?? [];
      } finally {
        await stop();
      }
    });
    const { delays } = await small.ask();
    return {
      name,
      ...load,
      seconds: isSnapshot ? (Math.max(...known.map(({ last }) => last)) - begin) / 1000 : QUIET_SECONDS,
      events: sum(known, 'events'),
      bytes: sum(known, 'bytes'),
      small: { p50: percentile(delays, 50), p99: percentile(delays, 99) },
    };
  } finally {
    await Promise.all([watchers?.stop(), small.stop()]);
  }
}

const sum = (known, key) => known.reduce((total, figures) => total + figures[key], 0);

/** Changes one task of the small import five times a second. @returns ends that */
function keepFlushing(database) {
  let isOver = false;
  const flushing = (async () => {
    while (!isOver) await flush(database, { seconds: 1, tasks: 1 });
  })();
  // Told by whoever ends it.
  flushing.catch(() => {});
  return async () => {
    isOver = true;
    await flushing;
  };
}

async function untilKnown(watchers, tasks) {
  for (const deadline = now() + LIMIT_MS; now() < deadline; await sleep(500)) {
    const { known } = await watchers.ask();
    const broken = known.find(({ error }) => error !== null);
    if (broken) throw new Error(broken.error);
    if (known.every((figures) => figures.tasks >= tasks)) return known;
  }
  throw new Error('the snapshot was not told in ten minutes');
}
