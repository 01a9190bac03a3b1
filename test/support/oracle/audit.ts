import type pg from 'pg';

/** One change of a row, as the database itself wrote it down. */
export interface Change {
  readonly table: 'tasks' | 'imports' | 'videos' | 'jobs';
  readonly op: 'INSERT' | 'UPDATE' | 'DELETE';
  readonly id: string;
  /** Columns by their names in the database, but for heavy ones; null of a row that was not there. */
  readonly old: Row | null;
  readonly new: Row | null;
  readonly xid: string;
  readonly at: Date;
}

/** A row as PostgreSQL makes JSON of it. */
export type Row = Readonly<Record<string, unknown>>;

// A schema of its own: what counts the product's tables does not see it. Everything is written in the transaction that
// makes the change, and gone with it if that is rolled back.
const TABLES = `
create schema oracle;
create unlogged table oracle.changes (
  n bigint generated always as identity primary key, at timestamptz not null default clock_timestamp(),
  xid text not null default pg_current_xact_id()::text,
  tab text not null, op text not null, id uuid not null, old jsonb, new jsonb
);
create unlogged table oracle.faults (n bigint generated always as identity primary key, about text not null, what text not null);
create function oracle.blame(about text, what text) returns void language sql as
  $$ insert into oracle.faults (about, what) values (about, what) $$;`;

const CHANGES = `
create function oracle.note_change() returns trigger language plpgsql as $$
declare
  heavy constant text[] := '{stages,source_url,metadata,system_metadata,description,context,webhook_url,changed_xid,version}';
  before jsonb; after jsonb;
begin
  if tg_op <> 'INSERT' then before := to_jsonb(old) - heavy; end if;
  if tg_op <> 'DELETE' then after := to_jsonb(new) - heavy; end if;
  if before is distinct from after then
    insert into oracle.changes (tab, op, id, old, new)
    values (tg_table_name, tg_op, (coalesce(after, before) ->> 'id')::uuid, before, after);
  end if;
  return null;
end $$;
create trigger oracle_notes after insert or update or delete on public.tasks for each row execute function oracle.note_change();
create trigger oracle_notes after insert or update or delete on public.imports for each row execute function oracle.note_change();
create trigger oracle_notes after insert or update or delete on public.videos for each row execute function oracle.note_change();
create trigger oracle_notes after update on public.jobs for each row
  when (old.failures <> new.failures or old.crashes <> new.crashes) execute function oracle.note_change();`;

// Constraint triggers that are deferred see a transaction as it is committed: a task and its job move together or not at all.
const COMMITS = `
create function oracle.look_at_task() returns trigger language plpgsql as $$
declare
  task public.tasks; job public.jobs; about text := 'task ' || new.id; kinds text[];
  is_stored boolean;
begin
  select * into task from public.tasks where id = new.id;
  if not found then return null; end if;
  select coalesce(array_agg(j.kind order by j.kind), '{}') into kinds
    from public.jobs j where j.subject_id = task.id and j.kind in ('transfer-video', 'index-video', 'process-video');
  if task.finished_at is not null then
    if kinds <> '{}' then perform oracle.blame(about, 'ended as ' || task.status || ', and its job was left: ' || kinds[1]); end if;
    if exists (select from public.task_progress p where p.task_id = task.id) then
      perform oracle.blame(about, 'ended as ' || task.status || ', and its progress was left');
    end if;
    return null;
  end if;
  if exists (select from public.imports i where i.id = task.import_id and i.finished_at is not null) then
    perform oracle.blame(about, 'became ' || task.status || ' though its import has finished');
  end if;
  is_stored := task.status in ('QUEUED', 'INDEXING');
  if task.waiting_for in ('SAME_CONTENT', 'UPLOAD') then
    if kinds <> '{}' then
      perform oracle.blame(about, 'waits for ' || case task.waiting_for when 'UPLOAD' then 'its upload' else 'the same content' end || ', and has a job: ' || kinds[1]);
    end if;
    return null;
  end if;
  if kinds <> array[case
       when not is_stored then 'transfer-video'
       when jsonb_path_exists(task.stages, '$[*] ? (@.name != "UPLOAD" && @.name != "VALIDATION")') then 'process-video'
       else 'index-video' end] then
    perform oracle.blame(about, 'became ' || task.status || ' with these jobs: ' || array_to_string(kinds, ', ', '') || '.');
    return null;
  end if;
  if task.status not in ('UPLOADING', 'VALIDATING', 'INDEXING') then return null; end if;
  select * into job from public.jobs j where j.subject_id = task.id and j.kind = kinds[1];
  if job.owner is null then perform oracle.blame(about, 'became ' || task.status || ', and nobody has claimed its job'); end if;
  if task.status = 'VALIDATING' and split_part(task.storage_key, '/', 5) <> job.claim::text then
    perform oracle.blame(about, 'became VALIDATING by the claim ' || split_part(task.storage_key, '/', 5) || ', and its job is claimed as ' || job.claim);
  end if;
  return null;
end $$;
create constraint trigger oracle_commits after insert or update on public.tasks deferrable initially deferred
  for each row execute function oracle.look_at_task();

create function oracle.look_at_import() returns trigger language plpgsql as $$
declare
  import public.imports; about text := 'import ' || new.id; open int;
begin
  select * into import from public.imports where id = new.id;
  if not found or import.finished_at is null then return null; end if;
  select count(*) into open from public.tasks t where t.import_id = import.id and t.finished_at is null;
  if open > 0 then perform oracle.blame(about, 'finished with ' || open || ' tasks that have not ended'); end if;
  if exists (select from public.import_entries e where e.import_id = import.id and e.verdict is null) then
    perform oracle.blame(about, 'finished with entries that have no verdict');
  end if;
  if exists (select from public.jobs j where j.subject_id = import.id and j.kind in ('plan-import', 'retry-import')) then
    perform oracle.blame(about, 'finished before its planning or its retry was over');
  end if;
  if import.webhook_url is not null
     and not exists (select from public.webhook_deliveries d where d.import_id = import.id and d.run = import.runs) then
    perform oracle.blame(about, 'finished without the message about its run ' || import.runs);
  end if;
  return null;
end $$;
create constraint trigger oracle_commits after insert or update on public.imports deferrable initially deferred
  for each row execute function oracle.look_at_import();`;

const PROGRESS = `
create function oracle.look_at_progress() returns trigger language plpgsql as $$
begin
  if new.attempt < old.attempt then
    perform oracle.blame('task ' || new.task_id, 'its progress went back from attempt ' || old.attempt || ' to ' || new.attempt);
  elsif new.attempt = old.attempt and new.fraction < old.fraction - 1e-9 then
    perform oracle.blame('task ' || new.task_id, 'its fraction fell from ' || old.fraction || ' to ' || new.fraction || ' within attempt ' || new.attempt);
  end if;
  return null;
end $$;
create trigger oracle_commits after update on public.task_progress for each row execute function oracle.look_at_progress();
create function oracle.look_at_last_progress() returns trigger language plpgsql as $$
declare
  task public.tasks;
begin
  select * into task from public.tasks where id = old.task_id and attempts = old.attempt;
  if found and task.fraction < old.fraction - 1e-9 then
    perform oracle.blame('task ' || task.id, 'its fraction fell from ' || old.fraction || ' to ' || task.fraction || ' within attempt ' || old.attempt);
  end if;
  return null;
end $$;
create constraint trigger oracle_last after delete on public.task_progress deferrable initially deferred
  for each row execute function oracle.look_at_last_progress();`;

/** Has the database write down every change of tasks, imports and videos, and what is wrong at the moment of a commit. */
export async function installAudit(client: pg.Client): Promise<void> {
  await client.query(TABLES + CHANGES + COMMITS + PROGRESS);
}

/** All changes so far; those of one row in their order. */
export async function readChanges(client: pg.Client): Promise<readonly Change[]> {
  const { rows } = await client.query<Change>(
    `select tab as "table", op, id, old, new, xid, at from oracle.changes order by n`,
  );
  return rows;
}

/** What was wrong when it was committed. */
export async function readFaults(client: pg.Client): Promise<readonly string[]> {
  const { rows } = await client.query<{ fault: string }>(
    `select about || ': ' || what as fault from oracle.faults order by n`,
  );
  return rows.map(({ fault }) => fault);
}
