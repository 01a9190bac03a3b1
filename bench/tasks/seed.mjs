import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { migrate } from '../../dist/db/migrate.js';
import { hashApiKey } from '../../dist/services/viewer.js';
import { runOn } from './database.mjs';

/** The first team has most of the rows, so that its list is deep; the others share the rest. */
const TEAMS = 5;
const SHARE = 0.8;

export const KEY = `slc_${'b'.repeat(43)}`;

/**
 * Fills a database with tasks that have ended, made a second apart, of several teams with two indexes each.
 * @returns team and index: public ids of the first team; teamId and indexId: the same as the rows have them
 */
export async function seed(url, rows) {
  await migrate({ url, log: pino({ level: 'warn' }) });
  const teams = Array.from({ length: TEAMS }, () => ({
    id: randomUUID(),
    indexes: [randomUUID(), randomUUID()],
  }));
  await runOn(url, async (client) => {
    for (const [at, { id, indexes }] of teams.entries()) {
      await client.query('insert into teams (id, name) values ($1, $2)', [id, `Team ${at}`]);
      for (const [n, index] of indexes.entries())
        await client.query('insert into indexes (id, team_id, name, is_default) values ($1, $2, $3, $4)', [
          index,
          id,
          `Index ${n}`,
          n === 0,
        ]);
    }
    const key = randomUUID();
    await client.query(
      `insert into api_keys (id, name, hash, scopes, default_team_id) values ($1, 'bench', $2, '{ADMIN}', $3)`,
      [key, hashApiKey(KEY), teams[0].id],
    );
    await client.query('insert into api_key_teams (api_key_id, team_id) values ($1, $2)', [key, teams[0].id]);
    for (const [at, { id, indexes }] of teams.entries()) {
      const length = at === 0 ? Math.round(rows * SHARE) : Math.round((rows * (1 - SHARE)) / (TEAMS - 1));
      await client.query(INSERT_TASKS, [id, indexes[0], indexes[1], length]);
    }
    await client.query('vacuum analyze');
  });
  const [{ id, indexes }] = teams;
  return { teamId: id, indexId: indexes[0], index: `idx_${indexes[0]}`, length: Math.round(rows * SHARE) };
}

// Of 100 tasks 88 are READY, 8 are FAILED and 4 SKIPPED, as of a library that is imported again and again.
const INSERT_TASKS = `
  insert into tasks (id, team_id, index_id, video_id, ordinal, made_video, system_name, external_id, file_name, name, name_given,
    incremental, status, outcome, skip_reason, error, attempts, fraction, bytes_done, bytes_total, stages, metadata,
    created_at, updated_at, started_at, finished_at)
  select gen_random_uuid(), $1, case when n % 4 = 0 then $3::uuid else $2::uuid end, gen_random_uuid(), n, true, 'dam', 'asset-' || n,
    'video-' || n || '.mp4', 'Video ' || n, true, false, status,
    case status when 'READY' then 'CREATED' else status end,
    case status when 'SKIPPED' then 'SAME_CONTENT' end,
    case status when 'FAILED' then '{"code":"SOURCE_HTTP_ERROR","message":"It answered 500.","retryable":true}'::jsonb end,
    1, case status when 'FAILED' then 0.5 else 1 end, 1000000 + n, 1000000 + n,
    '[{"name":"UPLOAD","state":"DONE","fraction":1},{"name":"VALIDATION","state":"DONE","fraction":1}]',
    '{"reel":"a"}', at, at, at, at
  from (
    select n, case when n % 100 < 88 then 'READY' when n % 100 < 96 then 'FAILED' else 'SKIPPED' end as status,
      date_trunc('milliseconds', now()) - make_interval(secs => $4::int - n) as at
    from generate_series(1, $4::int) n
  ) numbered`;
