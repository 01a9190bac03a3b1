import { randomUUID } from 'node:crypto';
import type { Rows, TeamRows } from '../support/rows.ts';

/** What a large import is made as. */
export interface LargeImport {
  readonly tasks: number;
  /**
   * PENDING: the import is STARTED, and its tasks wait for an hour. CANCELED: it was canceled before any of them began; tried
   * again, each is skipped at once, for its content is that of `sha256`.
   */
  readonly status: 'PENDING' | 'CANCELED';
  /** A content that the index holds. */
  readonly sha256?: string;
}

const NO_COUNTS = {
  rejected: 0,
  uploading: 0,
  validating: 0,
  pending: 0,
  queued: 0,
  indexing: 0,
  ready: 0,
  skipped: 0,
  failed: 0,
};

/** Writes an import with as many tasks as nobody would want to wait for, past the product. @returns its public id */
export async function insertLargeImport(
  rows: Rows,
  { teamId, indexId }: TeamRows,
  { tasks, status, sha256 }: LargeImport,
): Promise<string> {
  const importId = randomUUID();
  const isOver = status === 'CANCELED';
  await rows.all('begin');
  await rows.all(
    `insert into imports (id, team_id, index_id, source, incremental, state, found, started_at, finished_at, counts)
     values ($1, $2, $3, 'OBJECTS', true, $4, $5, now(), case when $6 then now() end, $7)`,
    [
      importId,
      teamId,
      indexId,
      isOver ? 'CANCELED' : 'STARTED',
      tasks,
      isOver,
      isOver ? { ...NO_COUNTS, canceled: tasks, bytesDone: 0, bytesTotal: 0 } : null,
    ],
  );
  await rows.all(
    `insert into import_entries (import_id, ordinal, input, verdict)
     select $1, n, '{"key": "a", "fileName": "a"}', 'TASK' from generate_series(0, $2 - 1) n`,
    [importId, tasks],
  );
  // Ids in the order of the ordinals: batches are told apart.
  await rows.all(
    `insert into tasks (id, team_id, import_id, ordinal, index_id, video_id, file_name, name, name_given, incremental,
                        expected_sha256, stages, status, outcome, waiting_for, finished_at)
     select (left($1::uuid::text, 24) || lpad(to_hex(n), 12, '0'))::uuid, $2, $1::uuid, n, $3, gen_random_uuid(), 'a.mp4', 'A', false, true, $4,
            '[{"name": "UPLOAD", "state": "WAITING", "fraction": 0}, {"name": "VALIDATION", "state": "WAITING", "fraction": 0}]',
            $5, case when $6 then 'CANCELED' end, case when not $6 then 'WORKER' end, case when $6 then now() end
       from generate_series(0, $7 - 1) n`,
    [importId, teamId, indexId, sha256 ?? null, status, isOver, tasks],
  );
  await rows.all(
    `insert into jobs (id, kind, subject_id, team_id, payload, run_at)
     select gen_random_uuid(), 'transfer-video', id, team_id, '{}', now() + interval '1 hour' from tasks
      where import_id = $1 and finished_at is null`,
    [importId],
  );
  await rows.all('commit');
  return `imp_${importId}`;
}

const LOCK = 4713;

/** Keeps a change of the tasks of imports from going past an ordinal. */
export interface Barrier {
  /** Whether somebody waits at it. */
  reached(): Promise<boolean>;
  /** Lets everybody pass. */
  lift(): Promise<void>;
}

/** Has whoever moves the task of an ordinal to a status wait within the transaction. */
export async function raiseBarrier(
  rows: Rows,
  { ordinal, status }: { readonly ordinal: number; readonly status: 'CANCELED' | 'PENDING' },
): Promise<Barrier> {
  await rows.all('select pg_advisory_lock($1)', [LOCK]);
  await rows.all(`create or replace function bar() returns trigger language plpgsql as
                  $$ begin perform pg_advisory_xact_lock_shared(${LOCK}); return new; end $$`);
  await rows.all(`create or replace trigger bar before update on tasks for each row
                  when (new.ordinal = ${ordinal} and new.status = '${status}' and old.status <> new.status) execute function bar()`);
  return {
    reached: async () =>
      (
        await rows.all(`select from pg_locks where locktype = 'advisory' and not granted and objid = ${LOCK}
                          and database = (select oid from pg_database where datname = current_database())`)
      ).length > 0,
    async lift() {
      await rows.all('select pg_advisory_unlock($1)', [LOCK]);
    },
  };
}
