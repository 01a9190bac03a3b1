import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { toPublicId } from '../../src/services/public-ids.ts';
import { createTestDatabase } from '../support/database.ts';
import { firstTeam, insertTeam, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { serverSettings, TEST_KEY } from '../support/server.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

/** Two servers over one database, their connections for notifications through a proxy. */
export interface Site {
  readonly urls: readonly string[];
  readonly key: string;
  readonly databaseUrl: string;
  readonly rows: Rows;
  readonly listen: TcpProxy;
  /** The team that is watched, and one whose changes nobody may see. */
  readonly team: TeamRows;
  readonly canary: TeamRows;
  stop(): Promise<void>;
}

/** In the name of every task of the other team. */
export const CANARY = 'canary-of-another-team';

/** Starts both servers. */
export async function startSite(): Promise<Site> {
  const database = await createTestDatabase();
  const listen = await createTcpProxy(database.url);
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-random-'));
  const start = (name: string) =>
    startApp(
      readConfig(
        serverSettings({
          databaseUrl: database.url,
          dataDir: join(dataDir, name),
          LISTEN_DATABASE_URL: listen.url,
          SLUICE_STORAGE_URL: `file://${dataDir}/media`,
          SLUICE_SOCKETS_PER_KEY: '1000',
        }),
      ),
      pino({ level: 'error' }, pino.destination(2)),
    );
  const apps = [await start('one'), await start('two')];
  const rows = await openRows(database.url);
  return {
    urls: apps.map(({ url }) => url),
    key: TEST_KEY,
    databaseUrl: database.url,
    rows,
    listen,
    team: await firstTeam(rows, TEST_KEY),
    canary: await insertTeam(rows, 'others'),
    async stop() {
      await rows.close();
      await Promise.all(apps.map((app) => app.stop()));
      await listen.close();
      await database.drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** What a transaction does, to which of the tasks, how long it waits before, and how long it stays open. */
export interface Change {
  readonly kind: 'step' | 'retry' | 'progress' | 'insert' | 'delete' | 'reject' | 'all';
  /** Of the team that nobody may see. */
  readonly isCanary: boolean;
  /** Which task, modulo how many there are. */
  readonly pick: number;
  readonly pauseMs: number;
  readonly holdMs: number;
  /** Without a word it is found within some seconds. */
  readonly isTold: boolean;
}

/** An import with tasks that no worker knows of: they change as the test says. Its first task ends last. */
export interface PlayedImport {
  readonly teamId: string;
  readonly importId: string;
}

const STAGES =
  '[{"name": "UPLOAD", "state": "WAITING", "fraction": 0}, {"name": "VALIDATION", "state": "WAITING", "fraction": 0}]';
const INSERT_TASKS = `
  insert into tasks (id, team_id, import_id, ordinal, index_id, video_id, file_name, name, name_given, incremental, waiting_for, stages)
  select gen_random_uuid(), $1, $2, n, $3, gen_random_uuid(), 'a.mp4', $4, true, true, 'WORKER', '${STAGES}'
    from generate_series($5::int, $6::int) n on conflict do nothing`;

/** Stores an import that has just been planned. */
export async function insertPlayedImport(
  { rows }: Site,
  { teamId, indexId }: TeamRows,
  { tasks, name }: { readonly tasks: number; readonly name: string },
): Promise<PlayedImport> {
  const importId = randomUUID();
  // At once: housekeeping ends an import that has no task.
  await rows.all('begin');
  await rows.all(
    `insert into imports (id, team_id, index_id, source, incremental, state, found, started_at)
     values ($1, $2, $3, 'OBJECTS', true, 'STARTED', $4, now())`,
    [importId, teamId, indexId, tasks],
  );
  await rows.all(INSERT_TASKS, [teamId, importId, indexId, name, 0, tasks - 1]);
  await rows.all('commit');
  return { teamId, importId };
}

const STATEMENTS: Readonly<Record<Exclude<Change['kind'], 'insert' | 'reject'>, readonly string[]>> = {
  step: [
    'delete from task_progress where task_id = $1',
    `update tasks set waiting_for = null,
        status = case status when 'PENDING' then 'UPLOADING' when 'UPLOADING' then 'VALIDATING' when 'VALIDATING' then 'READY' else status end,
        attempts = case status when 'PENDING' then attempts + 1 else attempts end,
        fraction = case status when 'PENDING' then 0 when 'UPLOADING' then 0.95 when 'VALIDATING' then 1 else fraction end,
        outcome = case when status in ('VALIDATING', 'READY') then 'CREATED' end,
        finished_at = case when status in ('VALIDATING', 'READY') then now() end
      where id = $1 and (ordinal > 0 or status in ('PENDING', 'UPLOADING'))`,
  ],
  retry: [
    'delete from task_progress where task_id = $1',
    `update tasks set attempts = attempts + 1, fraction = 0, status = 'UPLOADING' where id = $1 and status in ('UPLOADING', 'VALIDATING')`,
  ],
  progress: [
    `insert into task_progress as p (task_id, import_id, team_id, claim, attempt, stage, stage_fraction, fraction, bytes_done)
     select id, import_id, team_id, 1, attempts, 'UPLOAD', 0, 0.01, 1 from tasks where id = $1 and status = 'UPLOADING'
     on conflict (task_id) do update set version = p.version + 1, attempt = excluded.attempt, bytes_done = p.bytes_done + 1,
       fraction = case when p.attempt = excluded.attempt then least(0.9, p.fraction + 0.03) else 0.01 end`,
  ],
  delete: [
    'delete from task_progress where task_id = $1 and task_id in (select id from tasks where ordinal > 0)',
    'delete from tasks where id = $1 and ordinal > 0',
  ],
  all: [
    `update tasks set metadata = jsonb_build_object('n', coalesce((metadata ->> 'n')::int, 0) + 1)
          where id in (select id from tasks where import_id = $1 order by id for update)`,
  ],
};

/** Does changes one after the other, each in a transaction of its own that stays open for a while. */
export async function playChanges(
  site: Site,
  changes: readonly Change[],
  { watched, canary }: { readonly watched: PlayedImport; readonly canary: PlayedImport },
): Promise<void> {
  const own = await openRows(site.databaseUrl);
  try {
    for (const change of changes) {
      await sleep(change.pauseMs);
      const of = change.isCanary ? canary : watched;
      await playOne(site, own, { change, of });
      if (change.isTold) await tell(own, of);
    }
  } finally {
    await own.close();
  }
}

async function playOne(
  site: Site,
  own: Rows,
  { change, of }: { readonly change: Change; readonly of: PlayedImport },
): Promise<void> {
  const { teamId, importId } = of;
  const team = teamId === site.team.teamId ? site.team : site.canary;
  const tasks = await own.all<{ id: string; ordinal: number }>(
    'select id, ordinal from tasks where import_id = $1 order by ordinal',
    [importId],
  );
  const { id = '' } = tasks[change.pick % tasks.length] ?? {};
  await own.all('begin');
  try {
    if (change.kind === 'insert') {
      const from = 1_000 + change.pick;
      await own.all(INSERT_TASKS, [teamId, importId, team.indexId, nameOf(site, of), from, from]);
    } else if (change.kind === 'reject')
      await own.all(
        `insert into failed_files (id, team_id, import_id, ordinal, file_name, name, error_code, error_message, error_retryable)
         values (gen_random_uuid(), $1, $2, $3, 'a', $4, 'UNSUPPORTED_MEDIA_TYPE', 'No video.', false) on conflict do nothing`,
        [teamId, importId, 100_000 + change.pick, nameOf(site, of)],
      );
    else {
      // Whoever changes a task and its progress locks the task first, as the product does.
      if (change.kind !== 'all') await own.all('select from tasks where id = $1 for update', [id]);
      for (const statement of STATEMENTS[change.kind])
        await own.all(statement, [change.kind === 'all' ? importId : id]);
    }
    await sleep(change.holdMs);
    await own.all('commit');
  } catch (error) {
    await own.all('rollback');
    throw error;
  }
}

/** What tasks and rejected files of an import are called. */
const nameOf = ({ canary }: Site, { teamId }: PlayedImport): string =>
  teamId === canary.teamId ? CANARY : 'watched';

const tell = (own: Rows, { teamId, importId }: PlayedImport) =>
  own.all(`select pg_notify('sluice_changes', $1)`, [`${teamId} ${importId}`]);

/** Ends all tasks and the import, at once. */
export async function endPlayedImport({ rows }: Site, of: PlayedImport): Promise<void> {
  await rows.all('begin');
  await rows.all('select from tasks where import_id = $1 order by id for update', [of.importId]);
  await rows.all('delete from task_progress where import_id = $1', [of.importId]);
  await rows.all(
    `update tasks set status = 'READY', outcome = 'CREATED', waiting_for = null, fraction = 1, finished_at = now()
      where import_id = $1 and finished_at is null`,
    [of.importId],
  );
  await rows.all(
    `update imports i set state = 'SUCCEEDED', finished_at = now(), counts = jsonb_build_object('rejected', 0, 'uploading', 0,
       'validating', 0, 'pending', 0, 'queued', 0, 'indexing', 0, 'ready', 0, 'skipped', 0, 'failed', 0, 'canceled', 0,
       'bytesDone', 0, 'bytesTotal', 0) where id = $1`,
    [of.importId],
  );
  await rows.all('commit');
  await tell(rows, of);
}

/** The state of a task, as it is compared. */
export interface TaskState {
  readonly status: string;
  readonly attempts: number;
  readonly fraction: number;
}

/** What the database says of the tasks of an import, by public id. */
export async function storedStates({ rows }: Site, importId: string): Promise<Record<string, TaskState>> {
  const stored = await rows.all<TaskState & { readonly id: string }>(
    `select t.id, status, attempts, greatest(t.fraction, p.fraction) as fraction
       from tasks t left join task_progress p on p.task_id = t.id and p.attempt = t.attempts and t.finished_at is null
      where t.import_id = $1`,
    [importId],
  );
  return Object.fromEntries(stored.map(({ id, ...state }) => [toPublicId('Task', id), state]));
}

/** Removes an import that has ended, so that later runs read no longer lists for it. */
export async function removePlayedImport({ rows }: Site, { importId }: PlayedImport): Promise<void> {
  await rows.all('delete from tasks where import_id = $1', [importId]);
  await rows.all('delete from imports where id = $1', [importId]);
}
