import { createHash } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { graphql, type VariablesOf } from '../support/graphql.ts';
import { firstTeam, insertTeam, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import type { PageVariables } from './paging.ts';

// How many rows a page may read: its own, the one behind it, and as many again for what planners do at the ends.
const PAGE = 10;
const MOST_READ = 2 * (PAGE + 1);
const COUNT = 50_000;
const STATUSES = [
  'READY',
  'READY',
  'READY',
  'READY',
  'READY',
  'SKIPPED',
  'FAILED',
  'CANCELED',
  'PENDING',
  'QUEUED',
];

const TASKS = graphql(`
  query PlannedTasks($filter: TaskFilter, $orderBy: TaskOrder, $first: Int, $after: String, $last: Int, $before: String) {
    tasks(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) { edges { cursor node { id } } }
  }
`);
const VIDEOS = graphql(`
  query PlannedVideos($filter: VideoFilter, $orderBy: VideoOrder, $first: Int, $after: String, $last: Int, $before: String) {
    videos(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) { edges { cursor node { id } } }
  }
`);
const OF_IMPORT = graphql(`
  query PlannedTasksOfImport($id: ID!, $filter: TaskFilter, $first: Int, $after: String, $last: Int, $before: String) {
    import(id: $id) {
      tasks(filter: $filter, first: $first, after: $after, last: $last, before: $before) { edges { cursor node { id } } }
    }
  }
`);

interface Statement {
  readonly text: string;
  readonly values: unknown[];
}

const original = pg.Client.prototype.query;
let statements: Statement[] | null = null;
let server: TestServer;
let rows: Rows;
let team: TeamRows;
let importId: string;

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  team = await firstTeam(rows, server.key);
  await generate(rows, team);
  const found = await rows.one<{ id: string }>('select id from imports order by created_at limit 1');
  importId = `imp_${found.id}`;
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const [first, second] = args;
    const config = first as { text?: string; values?: unknown[] } | string; // as pg takes it
    const text = typeof config === 'string' ? config : (config.text ?? '');
    const values = typeof config === 'string' ? second : (config.values ?? second);
    statements?.push({ text, values: Array.isArray(values) ? values : [] });
    return Reflect.apply(original, this, args);
  } as typeof original;
});

afterAll(async () => {
  pg.Client.prototype.query = original;
  await rows?.close();
  await server?.stop();
});

/** Tasks and videos of two teams, a thousand of one instant each, as planning makes them. */
async function generate(rows: Rows, { teamId }: TeamRows): Promise<void> {
  const other = await insertTeam(rows, 'Other');
  await rows.all(
    `insert into indexes (id, team_id, name) select gen_random_uuid(), $1, 'Index ' || n from generate_series(1, 4) n`,
    [teamId],
  );
  await rows.all(
    `insert into imports (id, team_id, index_id, system_name, incremental, state, found, counts, started_at, finished_at, created_at)
     select gen_random_uuid(), $1, i.id, 'dam', true, 'SUCCEEDED', 1000, '{}', now(), now(),
            '2026-01-01'::timestamptz + n * interval '1 hour'
       from generate_series(1, $2::int / 1000) n
       join lateral (select id from indexes where team_id = $1 order by id offset n % 5 limit 1) i on true`,
    [teamId, COUNT],
  );
  await insertTasks(rows, { ofImports: teamId, teamId, indexId: null });
  await insertTasks(rows, { ofImports: teamId, ...other });
  await rows.all(
    `insert into videos (id, team_id, index_id, system_name, external_id, name, file_name, system_metadata, sha256, storage_key,
                         version_import_id, metadata, created_at, updated_at)
     select video_id, team_id, index_id, system_name, external_id, 'Name of ' || file_name, file_name, system_metadata,
            md5(id::text), id::text, video_id, jsonb_build_object('reel', ordinal, 'take', ordinal % 3), created_at, updated_at
       from tasks where status = 'READY'`,
  );
  await rows.all('vacuum analyze');
}

interface Owner {
  readonly ofImports: string;
  readonly teamId: string;
  /** Null: as the imports say. The tasks are of no import otherwise. */
  readonly indexId: string | null;
}

const insertTasks = (rows: Rows, { ofImports, teamId, indexId }: Owner) =>
  rows.all(
    `insert into tasks (id, team_id, import_id, ordinal, index_id, video_id, system_name, external_id, file_name, name, name_given,
                        incremental, status, outcome, skip_reason, error, waiting_for, fraction, stages, system_metadata,
                        created_at, updated_at, finished_at)
     select gen_random_uuid(), $2, case when $3::uuid is null then i.id end, n, coalesce($3, i.index_id), gen_random_uuid(), 'dam',
            'asset-' || i.nr * 1000 + n, 'clip-' || md5(n || '-' || i.nr) || '.mp4', 'Clip', true, true, s.status,
            case when s.status = 'READY' then 'CREATED' when w.waits then null else s.status end,
            case when s.status = 'SKIPPED' then 'SAME_CONTENT' end,
            case when s.status = 'FAILED' then '{"code": "INTERNAL", "message": "no", "retryable": true}'::jsonb end,
            case when w.waits then 'WORKER' end, case when s.status in ('READY', 'SKIPPED') then 1 else 0.5 end, '[]',
            '{"width": 1280, "height": 720, "duration": 12}', i.created_at, i.created_at + n % 7 * interval '1 minute',
            case when not w.waits then now() end
       from (select *, row_number() over (order by created_at) as nr from imports where team_id = $1) i
       cross join generate_series(0, 999, case when $3::uuid is null then 1 else 10 end) n
       cross join lateral (select case when i.nr > 45 then 'PENDING' else ($4::text[])[1 + (n * 7 + i.nr) % 10] end as status) s
       cross join lateral (select s.status in ('PENDING', 'QUEUED') as waits) w`,
    [ofImports, teamId, indexId, STATUSES],
  );

/** As text of a statement. */
const literalOf = (value: unknown): string =>
  pg.escapeLiteral(Array.isArray(value) ? `{${value.join()}}` : String(value));

/** The same of a statement that is planned once for all values, as one that connections keep may be. */
async function rowsReadByOnePlan(request: () => Promise<unknown>) {
  await request();
  statements = [];
  // Asked the second time, it is as it will be kept.
  await request();
  const statement = statements.findLast(({ text }) => text.includes('"tasks" as "d'));
  statements = null;
  if (!statement) throw new Error('no statement was seen');
  await rows.all(`prepare kept as ${statement.text}`);
  await rows.all('set plan_cache_mode = force_generic_plan');
  try {
    const values = statement.values.map(literalOf).join();
    const [row] = await rows.all<{ 'QUERY PLAN': readonly [{ Plan: PlanNode }] }>(
      `explain (analyze, buffers off, format json) execute kept(${values})`,
    );
    const plan = row?.['QUERY PLAN'][0].Plan;
    if (!plan) throw new Error('there is no plan');
    return { read: readOf(plan, 'tasks'), plan: describePlan(plan, 0) };
  } finally {
    await rows.all('reset plan_cache_mode');
    await rows.all('deallocate kept');
  }
}

/** How many rows of its table the reading statement of a request has read, those included that it dropped. */
async function rowsRead(
  table: string,
  request: () => Promise<unknown>,
): Promise<{ read: number; plan: string }> {
  statements = [];
  await request();
  const found = statements.filter(
    ({ text }) => text.includes(`"${table}" as "d`) || text.includes(`from "${table}"`),
  );
  statements = null;
  const statement = found.at(-1);
  if (!statement) throw new Error('no statement was seen');
  const [row] = await rows.all<{ 'QUERY PLAN': readonly [{ Plan: PlanNode }] }>(
    `explain (analyze, buffers off, format json) ${statement.text}`,
    statement.values,
  );
  const plan = row?.['QUERY PLAN'][0].Plan;
  if (!plan) throw new Error('there is no plan');
  return { read: readOf(plan, table), plan: describePlan(plan, 0) };
}

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly Plans?: readonly PlanNode[];
}

function readOf(node: PlanNode, table: string): number {
  const dropped = (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0);
  const own = node['Relation Name'] === table ? (node['Actual Rows'] + dropped) * node['Actual Loops'] : 0;
  return (node.Plans ?? []).reduce((sum, each) => sum + readOf(each, table), own);
}

const describePlan = (node: PlanNode, depth: number): string =>
  [
    `${' '.repeat(depth)}${node['Node Type']} ${node['Index Name'] ?? node['Relation Name'] ?? ''} ${node['Actual Rows']} rows, ${node['Rows Removed by Filter'] ?? 0} dropped`,
    ...(node.Plans ?? []).map((each) => describePlan(each, depth + 1)),
  ].join('\n');

async function expectOwnRowsOnly(table: string, request: () => Promise<unknown>) {
  const { read, plan } = await rowsRead(table, request);
  expect(read, plan).toBeLessThanOrEqual(MOST_READ);
}

type TaskFilter = NonNullable<VariablesOf<typeof TASKS>['filter']>;
type VideoFilter = NonNullable<VariablesOf<typeof VIDEOS>['filter']>;

/** Pages from the beginning, the middle and both ends of a list. */
async function pagesOf(
  read: (page: object) => Promise<readonly { readonly cursor: string }[]>,
  middle: () => Promise<readonly { readonly cursor: string }[]>,
): Promise<readonly PageVariables[]> {
  const [inTheMiddle] = await middle();
  const [fewBeforeTheEnd] = await read({ last: 50 });
  return [
    {},
    { first: PAGE, after: inTheMiddle?.cursor ?? null },
    { last: PAGE, before: inTheMiddle?.cursor ?? null },
    { first: PAGE, after: fewBeforeTheEnd?.cursor ?? null },
    { last: PAGE },
  ];
}

/** The newest are all PENDING. */
const SEVERAL: NonNullable<TaskFilter['status']> = ['FAILED', 'CANCELED', 'UPLOADING'];
/** Of one task, and of its video, in the middle of the list. */
const NAME = `clip-${createHash('md5').update('500-25').digest('hex')}.mp4`;
const MIDDLE = '2026-01-02T00:30:00Z';

describe('a page of tasks reads its own rows only, wherever it is', () => {
  const filters: readonly (readonly [string, () => Promise<TaskFilter>])[] = [
    ['of the team', async () => ({})],
    ['by a status that few have', async () => ({ status: ['FAILED'] })],
    ['by a status that many have, but not the newest', async () => ({ status: ['READY'] })],
    ['by status and index', async () => ({ status: ['FAILED'], indexId: `idx_${team.indexId}` })],
    ['by index', async () => ({ indexId: `idx_${team.indexId}` })],
    ['by import', async () => ({ importId })],
    ['by time', async () => ({ createdAt: { gte: '2026-01-01T10:00:00Z', lt: '2026-01-03T00:00:00Z' } })],
  ];
  test.each(filters)('%s', async (_, filterOf) => {
    const filter = await filterOf();
    const edges = async (variables: object) => (await server.query(TASKS, variables)).tasks.edges;
    const middle = () => edges({ filter: { ...filter, createdAt: { lt: MIDDLE } }, first: 1 });
    expect(await edges({ filter })).toHaveLength(PAGE);
    for (const page of await pagesOf((page) => edges({ ...page, filter }), middle))
      await expectOwnRowsOnly('tasks', () => server.query(TASKS, { ...page, filter }));
  });

  test.each<readonly ['ASC' | 'DESC', string, () => TaskFilter]>([
    ['ASC', 'of the team', () => ({})],
    ['DESC', 'of the team', () => ({})],
    ['DESC', 'of an index', () => ({ indexId: `idx_${team.indexId}` })],
    ['DESC', 'of a status that few have', () => ({ status: ['FAILED'] })],
    ['ASC', 'of a status that many have', () => ({ status: ['READY'] })],
  ])('by the last change, %s, %s', async (direction, _, filterOf) => {
    const filter = filterOf();
    const orderBy = { field: 'UPDATED_AT', direction } as const;
    const edges = async (variables: object) =>
      (await server.query(TASKS, { filter, ...variables, orderBy })).tasks.edges;
    const updatedAt = direction === 'ASC' ? { gte: MIDDLE } : { lt: MIDDLE };
    const middle = () => edges({ filter: { ...filter, updatedAt }, first: 1 });
    for (const page of await pagesOf(edges, middle))
      await expectOwnRowsOnly('tasks', () => server.query(TASKS, { filter, ...page, orderBy }));
  });

  test.each<readonly [string, 'CREATED_AT' | 'UPDATED_AT', () => TaskFilter]>([
    ['of the team', 'CREATED_AT', () => ({})],
    ['of the team by the last change', 'UPDATED_AT', () => ({})],
    ['of an index', 'CREATED_AT', () => ({ indexId: `idx_${team.indexId}` })],
  ])('by several statuses, %s: as many of each, and its own', async (_, field, filterOf) => {
    const filter = { ...filterOf(), status: SEVERAL };
    const orderBy = { field, direction: 'DESC' } as const;
    const edges = async (variables: object) =>
      (await server.query(TASKS, { filter, ...variables, orderBy })).tasks.edges;
    const middle = () => edges({ filter: { ...filter, createdAt: { lt: MIDDLE } }, first: 1 });
    for (const page of await pagesOf(edges, middle)) {
      const { read, plan } = await rowsRead('tasks', () => server.query(TASKS, { filter, ...page, orderBy }));
      expect(read, plan).toBeLessThanOrEqual((SEVERAL.length + 1) * (PAGE + 1));
    }
  });

  const ofSeveral: (typeof filters)[number] = ['of several statuses', async () => ({ status: SEVERAL })];
  test.each([...filters.slice(0, -1), ofSeveral])('%s, planned once for all values', async (_, filterOf) => {
    const filter = await filterOf();
    const [middle] = (
      await server.query(TASKS, { filter: { ...filter, createdAt: { lt: MIDDLE } }, first: 1 })
    ).tasks.edges;
    for (const page of [{}, { first: PAGE, after: middle?.cursor ?? null }, { last: PAGE }]) {
      const { read, plan } = await rowsReadByOnePlan(() => server.query(TASKS, { ...page, filter }));
      const lists = (filter.status?.length ?? 1) + 1;
      expect(read, plan).toBeLessThanOrEqual(lists * (PAGE + 1));
    }
  });

  test.each<readonly [string, TaskFilter]>([
    ['a whole name', { fileName: { equals: NAME } }],
    ['the beginning of a name', { fileName: { startsWith: NAME.slice(0, 15) } }],
    ['a part of a name', { fileName: { contains: NAME.slice(10, 25).toUpperCase() } }],
    ['the id in its system', { externalId: { equals: 'asset-25000' } }],
  ])('by %s', async (_, filter) => {
    const { read, plan } = await rowsRead('tasks', () => server.query(TASKS, { filter }));
    expect(read, plan).toBeLessThanOrEqual(MOST_READ);
  });
});

describe('a page of the tasks of an import', () => {
  test.each<readonly [string, TaskFilter]>([
    ['of all', {}],
    ['by status', { status: ['FAILED'] }],
  ])('%s', async (_, filter) => {
    const edges = async (page: object) =>
      (await server.query(OF_IMPORT, { id: importId, filter, ...page })).import?.tasks.edges ?? [];
    const middle = async () => (await edges({ first: 40 })).slice(-1);
    for (const page of await pagesOf(edges, middle))
      await expectOwnRowsOnly('tasks', () => server.query(OF_IMPORT, { id: importId, filter, ...page }));
  });
});

describe('a page of videos reads its own rows only, wherever it is', () => {
  test.each<readonly [string, () => VideoFilter]>([
    ['of the team', () => ({})],
    ['by index', () => ({ indexId: `idx_${team.indexId}` })],
  ])('%s, in both orders', async (_, filterOf) => {
    const filter = filterOf();
    for (const field of ['CREATED_AT', 'UPDATED_AT'] as const) {
      const orderBy = { field, direction: 'DESC' } as const;
      const edges = async (variables: object) =>
        (await server.query(VIDEOS, { ...variables, orderBy })).videos.edges;
      const time = field === 'CREATED_AT' ? 'createdAt' : 'updatedAt';
      const middle = () => edges({ filter: { ...filter, [time]: { lt: MIDDLE } }, first: 1 });
      for (const page of await pagesOf((page) => edges({ ...page, filter }), middle))
        await expectOwnRowsOnly('videos', () => server.query(VIDEOS, { ...page, filter, orderBy }));
    }
  });

  test.each<readonly [string, VideoFilter]>([
    ['a whole name', { fileName: { equals: NAME } }],
    ['the beginning of a name', { fileName: { startsWith: NAME.slice(0, 15) } }],
    ['a part of a file name', { fileName: { contains: NAME.slice(10, 25).toUpperCase() } }],
    ['a part of a name', { name: { contains: `of ${NAME.slice(0, 25).toUpperCase()}` } }],
    ['the id in its system', { externalId: { equals: 'asset-25000' } }],
    ['metadata that few have', { metadata: [{ key: 'reel', equals: 12345 }] }],
  ])('by %s', async (_, filter) => {
    const { read, plan } = await rowsRead('videos', () => server.query(VIDEOS, { filter }));
    expect(read, plan).toBeLessThanOrEqual(MOST_READ);
  });
});
