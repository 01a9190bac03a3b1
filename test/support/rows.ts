import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { hashApiKey } from '../../src/services/viewer.ts';

/** A connection of the test's own to a server's database. */
export interface Rows {
  readonly client: pg.Client;
  all<Row extends pg.QueryResultRow>(statement: string, values?: readonly unknown[]): Promise<Row[]>;
  /** The one row; throws when there is none or another. */
  one<Row extends pg.QueryResultRow>(statement: string, values?: readonly unknown[]): Promise<Row>;
  count(table: string): Promise<number>;
  close(): Promise<void>;
}

/** Connects to a database, to write and read rows past the API. */
export async function openRows(url: string): Promise<Rows> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const all: Rows['all'] = async (statement, values = []) =>
    (await client.query(statement, [...values])).rows;
  const one: Rows['one'] = async (statement, values) => {
    const [row, ...others] = await all(statement, values);
    if (row === undefined || others.length > 0)
      throw new Error(`${others.length + (row ? 1 : 0)} rows, not one`);
    return row as never; // typed by the caller
  };
  return {
    client,
    all,
    one,
    count: async (table) => (await one<{ n: number }>(`select count(*)::int as n from ${table}`)).n,
    close: () => client.end(),
  };
}

export interface TeamRows {
  readonly teamId: string;
  /** Its default index. */
  readonly indexId: string;
  readonly key: string;
}

/** The team that the first start made. */
export async function firstTeam(rows: Rows, key: string): Promise<TeamRows> {
  const { team_id: teamId, id: indexId } = await rows.one<{ team_id: string; id: string }>(
    'select team_id, id from indexes where is_default order by created_at limit 1',
  );
  return { teamId, indexId, key };
}

/** One more team with a default index and a key that reaches this team only. */
export async function insertTeam(rows: Rows, name: string): Promise<TeamRows> {
  const [teamId, indexId, keyId] = [randomUUID(), randomUUID(), randomUUID()];
  const key = `slc_${randomUUID().replaceAll('-', '')}`;
  await rows.all('insert into teams (id, name) values ($1, $2)', [teamId, name]);
  await rows.all('insert into indexes (id, team_id, name, is_default) values ($1, $2, $3, true)', [
    indexId,
    teamId,
    `Index of ${name}`,
  ]);
  await rows.all(
    `insert into api_keys (id, name, hash, scopes, default_team_id) values ($1, $2, $3, '{ADMIN}', $4)`,
    [keyId, name, hashApiKey(key), teamId],
  );
  await rows.all('insert into api_key_teams (api_key_id, team_id) values ($1, $2)', [keyId, teamId]);
  return { teamId, indexId, key };
}

/** A finished import with as many READY tasks and their videos, all made by one statement each, at one instant. */
export async function insertFinishedImport(
  rows: Rows,
  { teamId, indexId }: TeamRows,
  { tasks, videos = tasks }: { readonly tasks: number; readonly videos?: number },
): Promise<string> {
  const importId = randomUUID();
  const counts = { rejected: 0, uploading: 0, validating: 0, pending: 0, queued: 0, indexing: 0 };
  await rows.all(
    `insert into imports (id, team_id, index_id, system_name, incremental, state, found, counts, started_at, finished_at)
     values ($1, $2, $3, 'dam', true, 'SUCCEEDED', $4, $5, now(), now())`,
    [
      importId,
      teamId,
      indexId,
      tasks,
      { ...counts, ready: tasks, skipped: 0, failed: 0, canceled: 0, bytesDone: tasks, bytesTotal: tasks },
    ],
  );
  // Random ids: rows of one instant are in no order but that of their ids.
  await rows.all(
    `insert into tasks (id, team_id, import_id, ordinal, index_id, video_id, system_name, external_id, file_name, name,
                        name_given, incremental, status, outcome, attempts, fraction, stages, system_metadata, finished_at)
     select gen_random_uuid(), $1, $2, n, $3, gen_random_uuid(), 'dam', 'asset-' || n, 'clip-' || n || '.mp4', 'Clip ' || n,
            true, true, 'READY', 'CREATED', 1, 1, '[]', $5::jsonb, now()
       from generate_series(0, $4 - 1) n`,
    [teamId, importId, indexId, tasks, SYSTEM_METADATA],
  );
  await rows.all(
    `insert into videos (id, team_id, index_id, system_name, external_id, name, file_name, system_metadata, sha256,
                         storage_key, version_import_id, indexed_at)
     select video_id, team_id, index_id, system_name, external_id, name, file_name, system_metadata,
            md5(id::text) || md5(id::text), 'teams/' || id, import_id, now()
       from tasks where import_id = $1 and ordinal < $2`,
    [importId, videos],
  );
  return importId;
}

const SYSTEM_METADATA = {
  size: 1_000_000,
  duration: 12.5,
  width: 1280,
  height: 720,
  container: 'mp4',
  mimeType: 'video/mp4',
  videoCodec: 'h264',
  audioCodec: 'aac',
  frameRate: 25,
  bitrate: 640_000,
  rotation: 0,
  hdr: false,
};
