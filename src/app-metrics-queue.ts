import type { Pool } from 'pg';
import type { Metric } from './app-metrics.ts';
import { queryWithin } from './jobs/sql/query-within.ts';

/** However many ask: the queue is counted once in this time. */
const MAX_AGE_MS = 5_000;
const TIMEOUT_MS = 3_000;

interface Depth {
  readonly kind: string;
  readonly due: number;
  readonly delayed: number;
  readonly claimed: number;
  /** In seconds; 0 when nothing is due. */
  readonly oldest: number;
}

// One pass over the table: it holds unfinished jobs only.
const COUNT = `
select kind,
       count(*) filter (where owner is null and run_at <= now())::int as due,
       count(*) filter (where owner is null and run_at > now())::int as delayed,
       count(*) filter (where owner is not null)::int as claimed,
       coalesce(extract(epoch from now() - min(run_at) filter (where owner is null and run_at <= now())), 0)::float8 as oldest
  from jobs group by kind`;

/**
 * What waits in the queue, for all processes together: every process tells the same.
 * @param kinds those that are told of also when there are no jobs of theirs
 */
export function queueMetrics(pool: Pool, kinds: readonly string[]): readonly Metric[] {
  const read = createReader(pool, kinds);
  return [
    {
      name: 'sluice_queue_jobs',
      help: 'Unfinished jobs of all processes: due now, delayed until later, claimed by a process.',
      type: 'gauge',
      labels: ['kind', 'state'],
      read: async () =>
        (await read()).flatMap(({ kind, ...depth }) =>
          (['due', 'delayed', 'claimed'] as const).map((state) => ({
            labels: { kind, state },
            value: depth[state],
          })),
        ),
    },
    {
      name: 'sluice_queue_oldest_due_age_seconds',
      help: 'For how long the job that is due for longest has been waiting for a process; 0 when none is due.',
      type: 'gauge',
      labels: ['kind'],
      read: async () => (await read()).map(({ kind, oldest }) => ({ labels: { kind }, value: oldest })),
    },
  ];
}

function createReader(pool: Pool, kinds: readonly string[]): () => Promise<readonly Depth[]> {
  let readAt = Number.NEGATIVE_INFINITY;
  let latest: Promise<readonly Depth[]> = Promise.resolve([]);
  return () => {
    if (performance.now() - readAt > MAX_AGE_MS) {
      readAt = performance.now();
      latest = readDepths(pool, kinds);
    }
    return latest;
  };
}

async function readDepths(pool: Pool, kinds: readonly string[]): Promise<readonly Depth[]> {
  const rows = await queryWithin<Depth>(pool, { text: COUNT, values: [], timeoutMs: TIMEOUT_MS });
  const empty = kinds.filter((kind) => !rows.some((row) => row.kind === kind));
  return [...rows, ...empty.map((kind) => ({ kind, due: 0, delayed: 0, claimed: 0, oldest: 0 }))];
}
