import type { Rows } from './rows.ts';

/** One change of a row, in the order of the changes. */
export interface Change {
  readonly kind: 'task' | 'import' | 'failure' | 'lost lease';
  /** Of the task or import that it is about. */
  readonly id: string;
  /** The status or state; of a failure or a lost lease how many it makes. */
  readonly what: string;
}

// Written by the database itself, whoever changes a row, and in the transaction that changes it.
const TRIGGERS = `
create table audit (n bigint generated always as identity, kind text, id uuid, what text);
create function audit_change() returns trigger language plpgsql as $$
begin
  if tg_table_name = 'tasks' then
    if tg_op = 'INSERT' or (old.status, old.finished_at) is distinct from (new.status, new.finished_at) then
      insert into audit (kind, id, what) values ('task', new.id, new.status);
      perform pg_notify('audit', new.status);
    end if;
  elsif tg_table_name = 'imports' then
    if tg_op = 'INSERT' or (old.state, old.finished_at) is distinct from (new.state, new.finished_at) then
      insert into audit (kind, id, what) values ('import', new.id, new.state);
    end if;
  else
    if new.failures > old.failures then
      insert into audit (kind, id, what) values ('failure', new.subject_id, new.failures::text);
    end if;
    if new.lost_leases > old.lost_leases then
      insert into audit (kind, id, what) values ('lost lease', new.subject_id, new.lost_leases::text);
    end if;
  end if;
  return null;
end $$;
create trigger audit after insert or update on tasks for each row execute function audit_change();
create trigger audit after insert or update on imports for each row execute function audit_change();
create trigger audit after update on jobs for each row execute function audit_change();`;

/** The ends are not in it: from there no step is allowed. */
const LEGAL: Readonly<Record<string, readonly string[]>> = {
  PENDING: ['UPLOADING', 'READY', 'SKIPPED', 'FAILED'],
  UPLOADING: ['VALIDATING', 'PENDING', 'FAILED'],
  VALIDATING: ['QUEUED', 'READY', 'SKIPPED', 'PENDING', 'FAILED'],
  QUEUED: ['INDEXING', 'SKIPPED', 'FAILED'],
  INDEXING: ['READY', 'QUEUED', 'FAILED'],
  PLANNING: ['STARTED'],
  STARTED: ['SUCCEEDED', 'FAILED'],
};

/** Has every change of a status, a time of the end, a count of failures and of lost leases written down, and told of on the channel `audit`. */
export async function installAudit(rows: Rows): Promise<void> {
  await rows.all(TRIGGERS);
}

/** Everything written down so far. */
export const readAudit = (rows: Rows): Promise<Change[]> =>
  rows.all('select kind, id, what from audit order by n');

/** The statuses of each task, or states of each import, by its id, in order. */
export function pathsOf(changes: readonly Change[], kind: 'task' | 'import'): Map<string, string[]> {
  const paths = new Map<string, string[]>();
  for (const { id, what } of changes.filter((change) => change.kind === kind)) {
    paths.set(id, [...(paths.get(id) ?? []), what]);
  }
  return paths;
}

/** What is not as it must be: a step that is not allowed, a row that is changed after its end, one that has not ended. */
export function faultsOf(paths: ReadonlyMap<string, readonly string[]>): string[] {
  return [...paths].flatMap(([id, path]) => {
    const steps = path.slice(1).map((status, index) => [path[index] ?? '', status] as const);
    const wrong = steps.flatMap(([before, after]) =>
      LEGAL[before]?.includes(after) ? [] : [`${id}: ${before} to ${after}`],
    );
    const begins = ['PENDING', 'SKIPPED', 'PLANNING'].includes(path[0] ?? '');
    const ends = !((path.at(-1) ?? '') in LEGAL);
    return [
      ...wrong,
      ...(begins ? [] : [`${id} begins as ${path[0]}`]),
      ...(ends ? [] : [`${id} has not ended`]),
    ];
  });
}
