import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { createDatabase } from '../../dist/db/client.js';
import { startPostgres } from '../../dist/db/embedded/start.js';
import { migrate } from '../../dist/db/migrate.js';
import { hashApiKey } from '../../dist/services/viewer.js';

export const KEY = `slc_${'b'.repeat(43)}`;
const log = pino({ level: 'warn' });

/** A PostgreSQL of its own with one import that is under way: its tasks, of which the first `running` report progress. */
export async function openDatabase({ videos, running }) {
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  // Started by root, PostgreSQL runs under another account, which has to get through.
  await chmod(dataDir, 0o711);
  const postgres = await startPostgres({ dataDir, log, settings: { max_connections: '200' } });
  const stop = async () => {
    await postgres.stop();
    await rm(postgres.location, { recursive: true, force: true });
    await rm(dataDir, { recursive: true, force: true });
  };
  try {
    return await fill({ postgres, dataDir, stop }, { videos, running });
  } catch (error) {
    await stop();
    throw error;
  }
}

async function fill({ postgres, dataDir, stop }, { videos, running }) {
  const pidFile = await readFile(join(postgres.location, 'data', 'postmaster.pid'), 'utf8');
  await migrate({ url: postgres.url, log });
  const { db, pool, close } = createDatabase({ url: postgres.url, log, applicationName: 'bench', max: 12 });
  return {
    url: postgres.url,
    dataDir,
    postmaster: Number(pidFile.split('\n')[0]),
    db,
    pool,
    log,
    ...(await insertImport(pool, { videos, running })),
    stop: async () => {
      await close();
      await stop();
    },
  };
}

async function insertImport(pool, { videos, running }) {
  const [teamId, indexId, importId, keyId, owner] = Array.from({ length: 5 }, () => randomUUID());
  await pool.query("insert into teams (id, name) values ($1, 'bench')", [teamId]);
  await pool.query("insert into indexes (id, team_id, name, is_default) values ($1, $2, 'bench', true)", [
    indexId,
    teamId,
  ]);
  await pool.query(
    "insert into api_keys (id, name, hash, scopes, default_team_id) values ($1, 'bench', $2, '{ADMIN}', $3)",
    [keyId, hashApiKey(KEY), teamId],
  );
  await pool.query('insert into api_key_teams (api_key_id, team_id) values ($1, $2)', [keyId, teamId]);
  await pool.query(
    `insert into imports (id, team_id, index_id, system_name, incremental, state, found, started_at)
     values ($1, $2, $3, 'bench', true, 'STARTED', $4, now())`,
    [importId, teamId, indexId, videos],
  );
  await pool.query(
    `insert into tasks (id, team_id, import_id, ordinal, index_id, video_id, system_name, external_id, file_name, name,
                        name_given, incremental, status, waiting_for, attempts, stages)
     select gen_random_uuid(), $1, $2, n, $3, gen_random_uuid(), 'bench', 'asset-' || n, 'clip-' || n || '.mp4', 'Clip ' || n,
            true, true, case when n < $5 then 'UPLOADING' else 'PENDING' end, case when n < $5 then null else 'WORKER' end,
            case when n < $5 then 1 else 0 end, '[{"name":"UPLOAD","state":"RUNNING","fraction":0}]'
       from generate_series(0, $4 - 1) n`,
    [teamId, importId, indexId, videos, running],
  );
  await pool.query(
    `insert into jobs (id, kind, subject_id, team_id, payload, claim, owner, lease_until)
     select gen_random_uuid(), 'transfer-video', id, team_id, '{}', nextval('job_claims'), $2, now() + interval '1 day'
       from tasks where import_id = $1 and status = 'UPLOADING'`,
    [importId, owner],
  );
  await pool.query('analyze');
  const { rows } = await pool.query(
    `select t.id as "taskId", t.import_id as "importId", t.team_id as "teamId", j.id as "jobId", j.claim::text as claim
       from tasks t join jobs j on j.subject_id = t.id order by t.ordinal`,
  );
  return { importId, teamId, indexId, reports: rows };
}

/** A connection of its own. */
export async function connect(url) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
}
