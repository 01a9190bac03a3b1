import { setTimeout as sleep } from 'node:timers/promises';
import { cpuOfSelf, cpuOfTree, deferred, percentile } from './support.mjs';

/** Who is told of each start of a job; set by whoever measures. */
export function createStarts() {
  const starts = { on: () => {} };
  return { starts, onStart: (n) => starts.on(n) };
}

/**
 * Lets a worker of the peer drain `length` no-op jobs that are queued already; over when none is left in the database.
 * @param options.postmaster the pid of PostgreSQL's first process
 * @param options.samples how many single jobs are then given to the idle worker
 */
export async function measureDrain({ peer, starts }, { length, slots, samples, postmaster }) {
  await peer.clear();
  await peer.add(length);
  let started = 0;
  let begin;
  const all = deferred();
  starts.on = () => {
    // From the first start on: how long a worker takes to come up is left out.
    begin ??= performance.now();
    started += 1;
    if (started === length) all.resolve();
  };
  const before = { postgres: cpuOfTree(postmaster), node: cpuOfSelf() };
  const stop = await peer.start(slots);
  await all.promise;
  while ((await peer.left()) > 0) await sleep(2);
  const seconds = (performance.now() - begin) / 1000;
  const perJob = (used) => (used / length) * 1e6;
  const figures = {
    rate: length / seconds,
    postgres: perJob(cpuOfTree(postmaster) - before.postgres),
    node: perJob(cpuOfSelf() - before.node),
  };
  const latency = samples > 0 ? await measureLatency({ peer, starts }, samples) : [];
  await stop();
  if (started !== length) throw new Error(`${started} starts of ${length} jobs`);
  return { ...figures, latency };
}

/** Milliseconds from handing in one job to its start, by a worker that has nothing else to do. */
async function measureLatency({ peer, starts }, samples) {
  const on = starts.on;
  await sleep(600);
  const figures = [];
  for (let n = 0; n < samples; n += 1) {
    const started = deferred();
    starts.on = started.resolve;
    const begin = performance.now();
    const added = peer.addOne(n);
    await started.promise;
    figures.push(performance.now() - begin);
    await added;
    await sleep(15 + Math.random() * 20);
  }
  starts.on = on;
  return figures;
}

export const summarize = (latency) =>
  latency.length === 0 ? null : { p50: percentile(latency, 50), p99: percentile(latency, 99) };
