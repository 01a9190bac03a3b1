import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { type Metric, samplesBy } from './app-metrics.ts';
import type { Hub } from './events/hub.ts';
import type { HttpFigures } from './http/drain.ts';
import { MediaProcessError, type MediaProcessFailure } from './media/errors.ts';
import type { MediaPool } from './media/pool.ts';
import type { ImportFeeds } from './services/import-feed.ts';
import type { Storage, StorageWriter } from './storage/adapter.ts';

/** Connections to the database, by pool. */
export function poolMetrics(pools: Readonly<Record<string, Pool>>): readonly Metric[] {
  const all = Object.entries(pools);
  return [
    {
      name: 'sluice_database_connections',
      help: 'Open connections of a pool.',
      type: 'gauge',
      labels: ['pool', 'state'],
      read: () =>
        all.flatMap(([name, pool]) => [
          { labels: { pool: name, state: 'idle' }, value: pool.idleCount },
          { labels: { pool: name, state: 'in_use' }, value: pool.totalCount - pool.idleCount },
        ]),
    },
    {
      name: 'sluice_database_waiting_requests',
      help: 'Requests that wait for a connection of a pool.',
      type: 'gauge',
      labels: ['pool'],
      read: () => all.map(([name, pool]) => ({ labels: { pool: name }, value: pool.waitingCount })),
    },
  ];
}

/** What the server has answered, and who is connected to it. */
export function httpMetrics(figures: () => HttpFigures): readonly Metric[] {
  return [
    {
      name: 'sluice_http_requests_total',
      help: 'Answered requests by class of their status; aborted: the client left before the end.',
      type: 'counter',
      labels: ['status'],
      read: () => samplesBy('status', figures().requests),
    },
    {
      name: 'sluice_websocket_connections',
      help: 'Open WebSockets.',
      type: 'gauge',
      read: () => [{ value: figures().webSockets }],
    },
  ];
}

/** How long a stop waits for subscriptions to end whose clients have been sent away, and how often it looks. */
const ENDED_MS = 1_000;
const LOOK_MS = 10;

/** A hub whose listeners are counted: each subscription of a task has one; those of imports share their feeds. */
export function watchSubscriptions(
  hub: Hub,
  feeds: Pick<ImportFeeds, 'subscribers'>,
): {
  readonly hub: Hub;
  readonly metrics: readonly Metric[];
  /** Settles when there is none, or after a second: none should read on from a database that is closed. */
  untilNone(): Promise<void>;
} {
  let listening = 0;
  const active = () => listening + feeds.subscribers;
  const counted =
    (listen: Hub['onImport']): Hub['onImport'] =>
    (topic, callback) => {
      const end = listen(topic, callback);
      listening += 1;
      let hasEnded = false;
      return () => {
        end();
        if (!hasEnded) listening -= 1;
        hasEnded = true;
      };
    };
  return {
    hub: {
      ...hub,
      onImport: counted(hub.onImport),
      onLooseTasks: counted(hub.onLooseTasks),
      onTeam: counted(hub.onTeam),
    },
    metrics: [
      {
        name: 'sluice_subscriptions_active',
        help: 'Subscriptions that are being told of changes.',
        type: 'gauge',
        read: () => [{ value: active() }],
      },
    ],
    async untilNone() {
      const deadline = performance.now() + ENDED_MS;
      while (active() > 0 && performance.now() < deadline) await sleep(LOOK_MS);
    },
  };
}

/** Pools of media processes whose failures are counted. */
export interface MediaFigures {
  /** The same pool, counted. @param name of the pool in the metrics */
  watch(name: string, pool: MediaPool): MediaPool;
  /** A pool that tells of its failures itself, counted. @param make is given whom to tell */
  watchDeaths<P extends Pick<MediaPool, 'pids'>>(name: string, make: (onDeath: OnDeath) => P): P;
  readonly metrics: readonly Metric[];
}

type OnDeath = (reason: MediaProcessFailure) => void;

/** Makes figures of no pool yet. */
export function createMediaFigures(): MediaFigures {
  const watched: { readonly labels: { readonly pool: string }; readonly pool: Pick<MediaPool, 'pids'> }[] =
    [];
  const failures: { readonly labels: { readonly pool: string; readonly reason: string }; value: number }[] =
    [];
  function add(name: string): { onDeath: OnDeath; watch(pool: Pick<MediaPool, 'pids'>): void } {
    const labels = { pool: name };
    const counts = new Map<MediaProcessFailure, { value: number }>();
    for (const reason of ['CRASHED', 'TIMEOUT', 'OUT_OF_MEMORY'] as const) {
      const count = { labels: { ...labels, reason: reason.toLowerCase() }, value: 0 };
      counts.set(reason, count);
      failures.push(count);
    }
    return {
      watch: (pool) => void watched.push({ labels, pool }),
      onDeath(reason) {
        const count = counts.get(reason);
        if (count) count.value += 1;
      },
    };
  }

  return {
    watch(name, pool) {
      const figures = add(name);
      figures.watch(pool);
      return watchPool(pool, figures.onDeath);
    },
    watchDeaths(name, make) {
      const figures = add(name);
      const pool = make(figures.onDeath);
      figures.watch(pool);
      return pool;
    },
    metrics: [
      {
        name: 'sluice_media_processes',
        help: 'Media processes that are running; looks are for files at their source, checks for stored ones, works for what is made of them.',
        type: 'gauge',
        labels: ['pool'],
        read: () => watched.map(({ labels, pool }) => ({ labels, value: pool.pids().length })),
      },
      {
        name: 'sluice_media_process_failures_total',
        help: 'Calls whose media process crashed, or had to be killed for its time or memory.',
        type: 'counter',
        labels: ['pool', 'reason'],
        read: () => failures,
      },
    ],
  };
}

function watchPool(pool: MediaPool, onFailure: OnDeath): MediaPool {
  const watchCall = async <T>(call: Promise<T>): Promise<T> => {
    try {
      return await call;
    } catch (error) {
      if (error instanceof MediaProcessError) onFailure(error.reason);
      throw error;
    }
  };
  return {
    ...pool,
    probeFile: (path, options) => watchCall(pool.probeFile(path, options)),
    probeRemote: (reader, options) => watchCall(pool.probeRemote(reader, options)),
  };
}

/** A storage whose writes are counted. */
export function watchStorage(storage: Storage): {
  readonly storage: Storage;
  readonly metrics: readonly Metric[];
} {
  let bytes = 0;
  const watchWriter = (writer: StorageWriter): StorageWriter => ({
    get bytes() {
      return writer.bytes;
    },
    expect: (total) => writer.expect(total),
    async write(chunk) {
      await writer.write(chunk);
      bytes += chunk.length;
    },
    reset: () => writer.reset(),
    commit: () => writer.commit(),
    close: () => writer.close(),
    discard: () => writer.discard(),
  });
  return {
    storage: { ...storage, create: async (key) => watchWriter(await storage.create(key)) },
    metrics: [
      {
        name: 'sluice_transfer_bytes_total',
        help: 'Bytes that transfers have written, also those that they took over from an earlier attempt.',
        type: 'counter',
        read: () => [{ value: bytes }],
      },
    ],
  };
}
