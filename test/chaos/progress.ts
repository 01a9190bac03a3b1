import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

const EVERY_MS = 50;
const STALLED_MS = 180_000;

// How far the one import of a database is, past the product.
const ENDED = `select count(*) filter (where finished_at is not null)::int as ended from tasks`;
const STATES = `
  select coalesce(string_agg(n || ' ' || status || coalesce(' for ' || waiting_for, ''), ', '), 'none') as tasks
    from (select status, waiting_for, count(*) as n from tasks where finished_at is null group by 1, 2 order by 1, 2) t`;

/** How many videos have ended, by the rows of an installation; bears a database that is away. */
export interface Progress {
  ended(): number;
  /**
   * Waits until so many have ended.
   * @throws Error when nothing has ended for minutes
   */
  reached(count: number): Promise<void>;
  close(): Promise<void>;
}

/** Looks twenty times a second. `onEnded` is called with each new figure. */
export function watchProgress(
  databaseUrl: string,
  onEnded: (ended: number) => void,
  signal: AbortSignal,
): Progress {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 1, connectionTimeoutMillis: 5000 });
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  const closed = new AbortController();
  const stop = AbortSignal.any([closed.signal, signal]);
  let ended = 0;
  let changedAt = performance.now();
  const look = async (): Promise<void> => {
    while (!stop.aborted) {
      // Not there for the moment: it is asked again.
      const found = await pool.query<{ ended: number }>(ENDED).catch(() => null);
      const now = found?.rows[0]?.ended ?? ended;
      if (now !== ended) {
        ended = now;
        changedAt = performance.now();
        onEnded(now);
      }
      await sleep(EVERY_MS, undefined, { signal: stop }).catch(() => {});
    }
  };
  const looking = look();
  return {
    ended: () => ended,
    async reached(count) {
      changedAt = performance.now();
      while (ended < count) {
        signal.throwIfAborted();
        if (performance.now() - changedAt > STALLED_MS) {
          const { rows } = await pool.query<{ tasks: string }>(STATES);
          throw new Error(
            `${ended} videos have ended, and no other for ${STALLED_MS / 1000} s; open: ${rows[0]?.tasks}`,
          );
        }
        await sleep(EVERY_MS, undefined, { signal });
      }
    },
    async close() {
      closed.abort();
      await looking;
      await pool.end();
    },
  };
}
