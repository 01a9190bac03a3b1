import { setTimeout as sleep } from 'node:timers/promises';
import { percentile } from '../jobs/support.mjs';
import { now } from './clock.mjs';
import { insertLargeImport } from './large-import.mjs';
import { loadOf } from './load-of.mjs';
import { post } from './post.mjs';
import { startApi, startWatchers, startWorker } from './processes.mjs';

const LIMIT_MS = 600_000;
const BEFORE_MS = 5_000;
const CANCEL = `mutation ($id: ID!) {
  cancelImport(id: $id) { __typename ... on Error { message } ... on CancelImportSuccess { import { state } } }
}`;
const COUNTS = 'query ($id: ID!) { import(id: $id) { state finishedAt counts { found canceled pending } } }';
const REFUSED = 'http://127.0.0.1:9/clip.mp4';
const START = `mutation ($input: StartImportInput!) {
  startImport(input: $input) { __typename ... on Error { message } ... on StartImportSuccess { import { id } } }
}`;

/**
 * A large import is canceled while it is followed in every way, and while others write: how long it takes, what the processes go
 * through, how long the writes wait, and whether everybody was told the end.
 */
export async function measureCancel(database, tasks) {
  const importId = await insertLargeImport(database, tasks);
  const id = `imp_${importId}`;
  const api = await startApi(database);
  const worker = await startWorker(database);
  const watches = ['WHOLE', 'COUNTS', 'FEED'].map((kind) => ({ name: kind, kind, id }));
  const watchers = await startWatchers({ url: api.url, watches });
  try {
    await until(
      watchers,
      ([whole, counts, feed]) => whole.tasks === tasks && counts.events + feed.events >= 2,
    );
    const writes = startWriting(api.url);
    await sleep(BEFORE_MS);
    const before = writes.take();
    const begin = now();
    const told = loadOf(api, () => cancel({ api, database, watchers, id, tasks, begin }));
    const ofWorker = loadOf(worker, () => told);
    const { result, ...load } = await told;
    const during = await writes.stop();
    return {
      ...result,
      api: load,
      worker: await ofWorker,
      writes: { before: summarize(before), during: summarize(during) },
    };
  } finally {
    await Promise.all([watchers.stop(), api.stop()]);
    await worker.stop();
  }
}

/** Cancels it, and waits until everybody knows. */
async function cancel({ api, database, watchers, id, tasks, begin }) {
  const answer = await post(api.url, CANCEL, { id });
  if (answer.cancelImport.import?.state !== 'CANCELED') throw new Error(JSON.stringify(answer));
  const answered = now();
  const [whole, counts, feed] = await until(
    watchers,
    (known) => isTold(known, tasks),
    'not everybody was told the end',
  );
  const stored = (await post(api.url, COUNTS, { id })).import;
  const { rows } = await database.pool.query(
    `select extract(epoch from finished_at) * 1000 as at from imports where id = $1`,
    [id.slice('imp_'.length)],
  );
  return {
    stored,
    answered: (answered - begin) / 1000,
    finished: (Number(rows[0].at) - begin) / 1000,
    told: [whole, counts, feed].map(({ name, events, bytes, last }) => ({
      name,
      events,
      bytes,
      seconds: (last - begin) / 1000,
    })),
  };
}

const isTold = ([whole, counts, feed], tasks) =>
  whole.complete &&
  whole.statuses.CANCELED === tasks &&
  counts.complete &&
  counts.import.finished &&
  counts.import.all.canceled === tasks &&
  feed.statuses.CANCELED === tasks;

async function until(watchers, isSo, otherwise = 'the subscribers did not come to an end') {
  for (const deadline = now() + LIMIT_MS; now() < deadline; await sleep(250)) {
    const { known } = await watchers.ask();
    const broken = known.find(({ error }) => error !== null);
    if (broken) throw new Error(broken.error);
    if (isSo(known)) return known;
  }
  throw new Error(otherwise);
}

/** Somebody else's small imports, one after the other, whose video is refused without a look. */
function startWriting(url) {
  let taken = [];
  let isOver = false;
  const input = {
    from: {
      videos: { systemName: 'beside', videos: [{ externalId: 'a', fileName: 'a.mp4', url: REFUSED }] },
    },
  };
  const writing = (async () => {
    while (!isOver) {
      const begin = now();
      const { startImport } = await post(url, START, { input });
      if (!startImport.import) throw new Error(JSON.stringify(startImport));
      taken.push(now() - begin);
      await sleep(50);
    }
  })();
  // Told by whoever stops it.
  writing.catch(() => {});
  const take = () => {
    const all = taken;
    taken = [];
    return all;
  };
  return {
    take,
    stop: async () => {
      isOver = true;
      await writing;
      return take();
    },
  };
}

const summarize = (figures) => ({
  count: figures.length,
  p50: percentile(figures, 50),
  p99: percentile(figures, 99),
  max: Math.max(...figures),
});
