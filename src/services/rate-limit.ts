import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import { RateLimitedError } from './errors.ts';

const WINDOW_SECONDS = 60;

/** How often a key may make calls that are a lot of work; the same for all servers on one database. */
export interface RateLimit {
  /**
   * Counts one call.
   * @throws {RateLimitedError} when the key has made too many; this one does not count
   */
  takeTurn(keyId: string): Promise<void>;
}

/**
 * Makes a limit: so many calls at once, and as many a minute from then on.
 * @param perMinute 0: no limit
 */
export function createRateLimit(db: Database, perMinute: number): RateLimit {
  const step = WINDOW_SECONDS / perMinute;
  return {
    async takeTurn(keyId) {
      if (perMinute === 0) return;
      const { rowCount } = await db.execute(spend(keyId, step));
      if (rowCount === 0) throw new RateLimitedError(await secondsUntilTurn(db, keyId, step));
    },
  };
}

const now = sql`clock_timestamp()`;
const seconds = (count: number) => sql`${count}::float8 * interval '1 second'`;

/** One statement, so that calls of one key that come at once, on several servers, are each counted. */
const spend = (keyId: string, step: number) => sql`
  insert into rate_limits as r (key_id, spent_until) values (${keyId}, ${now} + ${seconds(step)})
  on conflict (key_id) do update set spent_until = greatest(r.spent_until, ${now}) + ${seconds(step)}
   where r.spent_until + ${seconds(step)} <= ${now} + ${seconds(WINDOW_SECONDS)}`;

async function secondsUntilTurn(db: Database, keyId: string, step: number): Promise<number> {
  const { rows } = await db.execute<{ wait: number }>(sql`
    select ceil(extract(epoch from spent_until + ${seconds(step)} - ${seconds(WINDOW_SECONDS)} - ${now}))::int as wait
      from rate_limits where key_id = ${keyId}`);
  return Math.max(rows[0]?.wait ?? 1, 1);
}
