import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';

/** How many changes are added up in one statement. */
const BATCH = 10_000;

/**
 * Adds the changes of what teams use to their sums, so that there are never many to read. Each is added once, whatever
 * number of servers does this at the same time, and every reader sees it either as a change or in the sum.
 */
export async function foldUsage(db: Database): Promise<void> {
  for (let taken = BATCH; taken === BATCH; ) {
    const { rows } = await db.execute<{ taken: number }>(sql`
      with gone as (
        delete from team_usage_changes where id in (
          select id from team_usage_changes order by id limit ${BATCH} for update skip locked)
        returning *
      ), added as (
        insert into team_usage as u (team_id, videos, bytes, milliseconds, reserved_videos, reserved_bytes, reserved_milliseconds)
        select team_id, sum(videos), sum(bytes), sum(milliseconds), sum(reserved_videos), sum(reserved_bytes), sum(reserved_milliseconds)
          from gone group by team_id order by team_id
        on conflict (team_id) do update set
          videos = u.videos + excluded.videos, bytes = u.bytes + excluded.bytes,
          milliseconds = u.milliseconds + excluded.milliseconds, reserved_videos = u.reserved_videos + excluded.reserved_videos,
          reserved_bytes = u.reserved_bytes + excluded.reserved_bytes,
          reserved_milliseconds = u.reserved_milliseconds + excluded.reserved_milliseconds
      )
      select count(*)::int as taken from gone`);
    taken = rows[0]?.taken ?? 0;
  }
}
