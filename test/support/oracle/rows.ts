import type pg from 'pg';

/** What was promised to clients: rows that must be there, as they were named to them. */
export interface Accepted {
  /** Public ids of all imports that were started; there are no others. */
  readonly imports?: readonly string[];
  /** Public ids of tasks that a client was told of. */
  readonly tasks?: readonly string[];
  /** Public ids of videos that a client has deleted. */
  readonly deletedVideos?: readonly string[];
}

// Each gives what is wrong as rows (about, what).
const STATEMENTS = {
  'entries are tasks or rejected files': `
    select 'import ' || e.import_id as about,
           'its entry ' || e.ordinal || ' is ' || coalesce(e.verdict, 'undecided') || ', with ' || t.n || ' tasks and ' || f.n || ' rejected files' as what
      from import_entries e
      cross join lateral (select count(*) as n from tasks t where t.import_id = e.import_id and t.ordinal = e.ordinal) t
      cross join lateral (select count(*) as n from failed_files f where f.import_id = e.import_id and f.ordinal = e.ordinal) f
     where (e.verdict, t.n, f.n) is distinct from ('TASK', 1, 0) and (e.verdict, t.n, f.n) is distinct from ('REJECTED', 0, 1)`,
  'what was found is what became of it': `
    select 'import ' || i.id, 'found ' || i.found || ', and has ' || n.tasks || ' tasks and ' || n.rejected || ' rejected files'
      from imports i
      cross join lateral (select (select count(*) from tasks t where t.import_id = i.id) as tasks,
                                 (select count(*) from failed_files f where f.import_id = i.id) as rejected) n
     where i.found <> n.tasks + n.rejected`,
  'stored counts are right': `
    select 'import ' || i.id, 'its count of ' || c.key || ' is ' || c.value || ', not ' || n.n
      from imports i
      cross join lateral jsonb_each_text(i.counts) c
      cross join lateral (select case c.key
          when 'rejected' then (select count(*) from failed_files f where f.import_id = i.id)
          else (select count(*) from tasks t where t.import_id = i.id and t.status = upper(c.key)) end as n) n
     where i.finished_at is not null and c.key not in ('bytesDone', 'bytesTotal') and c.value::bigint <> n.n`,
  'what has ended has no job': `
    select case when j.kind in ('transfer-video', 'index-video', 'process-video') then 'task ' else 'import ' end || j.subject_id, 'has ended, and its job was left: ' || j.kind
      from jobs j
     where j.kind in ('transfer-video', 'index-video', 'process-video') and not exists (select from tasks t where t.id = j.subject_id and t.finished_at is null)
        or j.kind in ('plan-import', 'cancel-import', 'retry-import')
           and not exists (select from imports i where i.id = j.subject_id and i.finished_at is null)`,
  'what has ended has no progress': `
    select 'task ' || p.task_id, 'has ended, and its progress was left'
      from task_progress p where not exists (select from tasks t where t.id = p.task_id and t.finished_at is null)`,
  'one message per run with a webhook': `
    select 'import ' || i.id, 'has ' || n.n || ' messages about ' || i.runs || ' runs'
      from imports i cross join lateral (select count(*) as n from webhook_deliveries d where d.import_id = i.id) n
     where n.n <> case when i.webhook_url is null then 0 else i.runs end and i.finished_at is not null`,
  'messages have a job for as long as they are to be sent': `
    select 'message ' || d.id, 'is ' || d.state || ', and has ' || n.n || ' jobs'
      from webhook_deliveries d
      cross join lateral (select count(*) as n from jobs j where j.kind = 'deliver-webhook' and j.subject_id = d.id) n
     where n.n <> case when d.state in ('WAITING', 'RETRYING') then 1 else 0 end`,
  'what is delivered is a message': `
    select 'message ' || j.subject_id, 'is not there, and its job was left'
      from jobs j where j.kind = 'deliver-webhook' and not exists (select from webhook_deliveries d where d.id = j.subject_id)`,
  'one video per pair': `
    select 'index ' || index_id, 'has ' || count(*) || ' videos of the pair ' || system_name || ' ' || external_id
      from videos where system_name is not null group by index_id, system_name, external_id having count(*) > 1`,
  // A pair's update needs no claim; nor does what was asked for as a copy.
  'one video per content': `
    select 'index ' || v.index_id, 'has ' || count(*) || ' incremental videos of the content ' || v.sha256
      from videos v
     where not exists (select from tasks t where t.video_id = v.id and t.outcome in ('CREATED', 'UPDATED')
                          and t.sha256 = v.sha256 and (t.outcome = 'UPDATED' or not t.incremental))
     group by v.index_id, v.sha256 having count(*) > 1`,
  'claims are held by videos that have the content': `
    select 'index ' || c.index_id, 'its claim on ' || c.sha256 || ' is held by ' || case
             when c.task_id is not null then 'task ' || c.task_id || ', which has ended' else 'video ' || c.video_id || ', which does not have it' end
      from content_claims c
     where c.task_id is not null and not exists (select from tasks t where t.id = c.task_id and t.finished_at is null)
        or c.task_id is null and not exists (select from videos v where v.id = c.video_id and v.sha256 = c.sha256)`,
  'use is counted right': `
    with counted as (
      select team_id, sum(videos) as videos, sum(bytes) as bytes, sum(milliseconds) as ms,
             sum(reserved_videos) as rv, sum(reserved_bytes) as rb, sum(reserved_milliseconds) as rm
        from (select team_id, videos, bytes, milliseconds, reserved_videos, reserved_bytes, reserved_milliseconds from team_usage
              union all
              select team_id, videos, bytes, milliseconds, reserved_videos, reserved_bytes, reserved_milliseconds from team_usage_changes) c
       group by team_id
    )
    select 'team ' || t.id, 'its use is counted as ' || concat_ws(', ', c.videos, c.bytes, c.ms, c.rv, c.rb, c.rm)
             || ', and is ' || concat_ws(', ', v.videos, v.bytes, v.ms, r.rv, r.rb, r.rm)
      from teams t
      left join counted c on c.team_id = t.id
      cross join lateral (select count(*) as videos, coalesce(sum((system_metadata ->> 'size')::bigint), 0) as bytes,
               coalesce(sum(round((system_metadata ->> 'duration')::numeric * 1000)), 0) as ms
          from videos where team_id = t.id) v
      cross join lateral (select coalesce(sum(reserved_videos), 0) as rv, coalesce(sum(reserved_bytes), 0) as rb,
               coalesce(sum(reserved_milliseconds), 0) as rm from tasks where team_id = t.id) r
     where (coalesce(c.videos, 0), coalesce(c.bytes, 0), coalesce(c.ms, 0), coalesce(c.rv, 0), coalesce(c.rb, 0), coalesce(c.rm, 0))
        is distinct from (v.videos, v.bytes, v.ms, r.rv, r.rb, r.rm)`,
  'what has ended was given its promise back': `
    select 'task ' || t.id, 'has ended, and still holds room' from tasks t
     where t.finished_at is not null and (t.reserved_videos, t.reserved_bytes, t.reserved_milliseconds) is distinct from (0, 0, 0)`,
  'every video has come in': `
    select 'video ' || v.id, 'is there, and no task has brought it in'
      from videos v
     where not exists (select from tasks t where t.video_id = v.id and t.made_video is not null
                          and (t.status in ('READY', 'SKIPPED') or t.finished_at is null or not t.made_video))`,
} as const;

// A video may go after its task has become READY: where a client has deleted it, or with the task that was making it, which ended
// otherwise; who has indexed it again meanwhile has come to its end by then. Changes of one video are noted in their order.
const LOST_VIDEOS = `
  select 'task ' || t.id, 'is READY, and its video is not there'
    from tasks t
   where t.status = 'READY' and not exists (select from videos v where v.id = t.video_id)
     and not exists (
       select from oracle.changes gone
        where gone.tab = 'videos' and gone.op = 'DELETE' and gone.id = t.video_id
          and gone.n > (select max(c.n) from oracle.changes c
                         where c.tab = 'tasks' and c.id = t.id and c.new ->> 'status' = 'READY' and c.old ->> 'status' <> 'READY')
          and (gone.id = any ($1::uuid[])
            or exists (select from oracle.changes maker
                        where maker.tab = 'tasks' and maker.xid = gone.xid and maker.id <> t.id
                          and maker.new ->> 'video_id' = gone.id::text and maker.new ->> 'made_video' = 'true'
                          and maker.new ->> 'status' in ('FAILED', 'CANCELED'))))`;

/** Videos that a client has deleted and that never went. */
const KEPT_VIDEOS = `
  select 'video ' || asked.id, 'was deleted for a client, and has never gone'
    from unnest($1::uuid[]) as asked (id)
   where not exists (select from oracle.changes c where c.tab = 'videos' and c.op = 'DELETE' and c.id = asked.id)`;

/** What is wrong with the rows of an installation where everything has ended. */
export async function rowFaults(
  client: pg.Client,
  { deletedVideos = [] }: Pick<Accepted, 'deletedVideos'> = {},
): Promise<readonly string[]> {
  const faults: string[] = [];
  const ask = async (text: string, values: readonly unknown[] = []) => {
    const { rows } = await client.query<[string, string]>({ text, values: [...values], rowMode: 'array' });
    faults.push(...rows.map(([about, what]) => `${about}: ${what}`));
  };
  for (const statement of Object.values(STATEMENTS)) await ask(statement);
  for (const statement of [LOST_VIDEOS, KEPT_VIDEOS]) await ask(statement, [deletedVideos.map(rowId)]);
  return faults;
}

/** What clients were told of and is not there, and imports that nobody was told of. */
export async function acceptedFaults(client: pg.Client, accepted: Accepted): Promise<readonly string[]> {
  const { imports, tasks = [] } = accepted;
  const [storedImports, storedTasks] = [await idsOf(client, 'imports'), await idsOf(client, 'tasks')];
  const told = new Set((imports ?? []).map(rowId));
  return [
    ...[...told]
      .filter((id) => !storedImports.has(id))
      .map((id) => `import ${id}: was accepted, and is lost`),
    ...(imports === undefined ? [] : [...storedImports])
      .filter((id) => !told.has(id))
      .map((id) => `import ${id}: is there, and nobody was told of it`),
    ...tasks
      .map(rowId)
      .filter((id) => !storedTasks.has(id))
      .map((id) => `task ${id}: was accepted, and is lost`),
  ];
}

async function idsOf(client: pg.Client, table: 'imports' | 'tasks'): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ id: string }>(`select id from ${table}`);
  return new Set(rows.map(({ id }) => id));
}

/** The row id within a public id: what follows the prefix. */
const rowId = (publicId: string): string => publicId.slice(publicId.indexOf('_') + 1);
