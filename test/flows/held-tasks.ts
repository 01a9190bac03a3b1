import type { Rows } from '../support/rows.ts';

/** Whoever holds this lock keeps tasks from being indexed. */
const LOCK = 4712;

/** Names that decide about a task by what its video is called. */
export const HELD = 'Held';
/** Held too, and then its index job fails for good, of a fault that nobody foresaw. */
export const DOOMED = 'Doomed';

/** Runs something while tasks of those names stay before their indexing; they go on when it has ended. */
export type WhileHeld = <T>(run: () => Promise<T>) => Promise<T>;

/** How many tasks of a database are held at this moment. */
export async function countHeld(rows: Rows): Promise<number> {
  const waiting =
    await rows.all(`select from pg_locks where locktype = 'advisory' and not granted and objid = ${LOCK}
                                     and database = (select oid from pg_database where datname = current_database())`);
  return waiting.length;
}

/** Makes a database hold tasks whose videos are called HELD or DOOMED. */
export async function holdTasks(rows: Rows): Promise<WhileHeld> {
  await rows.all(`create function hold_task() returns trigger language plpgsql as $$
                  begin
                    perform pg_advisory_xact_lock_shared(${LOCK});
                    if new.name = '${DOOMED}' then raise exception 'this task is doomed'; end if;
                    return new;
                  end $$`);
  await rows.all(`create trigger hold_task before update on tasks for each row
                  when (new.status = 'INDEXING' and old.status = 'QUEUED' and new.name in ('${HELD}', '${DOOMED}'))
                  execute function hold_task()`);
  await rows.all(`create function doom_job() returns trigger language plpgsql as $$
                  begin
                    if exists (select from tasks where id = new.subject_id and name = '${DOOMED}') then new.failures := 7; end if;
                    return new;
                  end $$`);
  await rows.all(`create trigger doom_job before insert on jobs for each row
                  when (new.kind = 'index-video') execute function doom_job()`);
  return async (run) => {
    await rows.all('select pg_advisory_lock($1)', [LOCK]);
    try {
      return await run();
    } finally {
      await rows.all('select pg_advisory_unlock($1)', [LOCK]);
    }
  };
}
