import type { Rows, TeamRows } from '../support/rows.ts';

/** Stores imports that have just finished, each with a message that is due, all at one instant. */
export async function insertDueWebhooks(
  rows: Rows,
  { teamId, indexId }: TeamRows,
  urls: readonly string[],
): Promise<void> {
  await rows.all(
    `with planned as materialized (
       select gen_random_uuid() as import_id, gen_random_uuid() as id, url from unnest($3::text[]) url
     ), finished as (
       insert into imports (id, team_id, index_id, system_name, incremental, state, counts, webhook_url, started_at, finished_at)
       select import_id, $1, $2, 'due', true, 'SUCCEEDED', '{}', url, now(), now() from planned returning id
     ), told as (
       insert into webhook_deliveries (id, import_id, run, body, next_attempt_at)
       select id, import_id, 1, '{"type":"import.finished"}', now() from planned returning id
     )
     insert into jobs (id, kind, subject_id, team_id, payload) select gen_random_uuid(), 'deliver-webhook', id, $1,
            jsonb_build_object('receiver', url, 'origin', split_part(url, '/', 3), 'isRetry', false) from planned`,
    [teamId, indexId, urls],
  );
}

/** How many messages have been tried, and stand where. */
export async function standing(rows: Rows, state: string): Promise<number> {
  const { n } = await rows.one<{ n: number }>(
    'select count(*)::int as n from webhook_deliveries where state = $1',
    [state],
  );
  return n;
}
