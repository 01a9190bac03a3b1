import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { graphql, type VariablesOf } from '../support/graphql.ts';
import { firstTeam, insertFinishedImport, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const TASKS = graphql(`
  query FilteredTasks($filter: TaskFilter) { tasks(filter: $filter, first: 100) { totalCount nodes { fileName } } }
`);
const IMPORTS = graphql(`
  query FilteredImports($filter: ImportFilter) { imports(filter: $filter, first: 100) { totalCount nodes { systemName } } }
`);
const VIDEOS = graphql(`
  query FilteredVideos($filter: VideoFilter) { videos(filter: $filter, first: 100) { totalCount nodes { fileName } } }
`);
const OF_IMPORT = graphql(`
  query FilteredTasksOfImport($id: ID!, $filter: TaskFilter) {
    import(id: $id) { tasks(filter: $filter, first: 100) { totalCount nodes { fileName } } }
  }
`);

type TaskFilter = NonNullable<VariablesOf<typeof TASKS>['filter']>;
type ImportFilter = NonNullable<VariablesOf<typeof IMPORTS>['filter']>;
type VideoFilter = NonNullable<VariablesOf<typeof VIDEOS>['filter']>;

const ALL = ['Über 100%.mp4', 'a_b.mp4', 'aXb.mp4', 'back\\slash.mp4', 'plain.mp4'];
/** Any of them is found or not by its own flaw: fileName, and how the row differs from the others. */
const CHANGES = `
  update tasks set file_name = 'Über 100%.mp4' where ordinal = 0;
  update tasks set file_name = 'a_b.mp4', system_metadata = jsonb_set(system_metadata, '{duration}', '60') where ordinal = 1;
  update tasks set file_name = 'aXb.mp4', status = 'SKIPPED', outcome = 'SKIPPED', skip_reason = 'SAME_CONTENT',
                   system_metadata = jsonb_set(system_metadata, '{width}', '1920') where ordinal = 2;
  update tasks set file_name = 'back\\slash.mp4', status = 'FAILED', outcome = 'FAILED', fraction = 0.5, system_metadata = null,
                   error = '{"code": "VIDEO_FILE_BROKEN", "message": "broken", "retryable": false}' where ordinal = 3;
  update tasks set file_name = 'plain.mp4', system_name = 'other', created_at = '2020-01-01T00:00:00Z',
                   updated_at = '2020-01-02T00:00:00Z' where ordinal = 4;
  update videos v set file_name = t.file_name, name = 'The ' || t.file_name, created_at = t.created_at, updated_at = t.updated_at,
                      system_name = t.system_name, system_metadata = coalesce(t.system_metadata, v.system_metadata)
    from tasks t where t.video_id = v.id;
  update videos set metadata = case file_name when 'Über 100%.mp4' then '{"reel": 7}' when 'a_b.mp4' then '{"reel": "7"}'
    when 'aXb.mp4' then '{"reel": 7, "__proto__": "p"}' when 'back\\slash.mp4' then '{"reel": true}' end::jsonb;
  insert into imports (id, team_id, system_name, incremental, state, started_at, finished_at, counts, has_failures, created_at)
  select gen_random_uuid(), team_id, 'failed', true, 'FAILED', now(), now(), counts, true, '2020-01-01T00:00:00Z' from imports`;

let server: TestServer;
let rows: Rows;
let team: TeamRows;
let importId: string;
let videoId: string;

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  team = await firstTeam(rows, server.key);
  importId = await insertFinishedImport(rows, team, { tasks: 5 });
  await rows.client.query(CHANGES);
  videoId = (await rows.one<{ video_id: string }>('select video_id from tasks where ordinal = 0')).video_id;
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

async function taskNames(filter: TaskFilter | null) {
  const { totalCount, nodes } = (await server.query(TASKS, { filter })).tasks;
  expect(totalCount).toBe(nodes.length);
  return nodes.map(({ fileName }) => fileName).sort();
}

async function videoNames(filter: VideoFilter | null) {
  const { totalCount, nodes } = (await server.query(VIDEOS, { filter })).videos;
  expect(totalCount).toBe(nodes.length);
  return nodes.map(({ fileName }) => fileName).sort();
}

async function importNames(filter: ImportFilter | null) {
  const { totalCount, nodes } = (await server.query(IMPORTS, { filter })).imports;
  expect(totalCount).toBe(nodes.length);
  return nodes.map(({ systemName }) => systemName).sort();
}

const [UEBER, UNDERSCORE, SKIPPED, FAILED, OLD] = ALL as [string, string, string, string, string];
const others = (...names: readonly string[]) => ALL.filter((name) => !names.includes(name)).sort();

/** What tasks and videos have in common. */
const TEXTS: readonly (readonly [TaskFilter & VideoFilter, readonly string[]])[] = [
  [{ fileName: { equals: 'plain.mp4' } }, [OLD]],
  [{ fileName: { equals: 'PLAIN.mp4' } }, []],
  [{ fileName: { contains: 'PLAIN' } }, [OLD]],
  [{ fileName: { contains: 'üBER' } }, [UEBER]],
  [{ fileName: { contains: '%' } }, [UEBER]],
  [{ fileName: { contains: '0%.' } }, [UEBER]],
  [{ fileName: { contains: 'a_b' } }, [UNDERSCORE]],
  [{ fileName: { contains: 'A_B' } }, [UNDERSCORE]],
  [{ fileName: { contains: '\\' } }, [FAILED]],
  [{ fileName: { contains: '\\\\' } }, []],
  [{ fileName: { contains: '' } }, others()],
  [{ fileName: { startsWith: 'a_' } }, [UNDERSCORE]],
  [{ fileName: { startsWith: 'A' } }, []],
  [{ fileName: { startsWith: '%' } }, []],
  [{ fileName: { startsWith: 'a' } }, [UNDERSCORE, SKIPPED]],
  [{ fileName: { startsWith: 'a', contains: 'x' } }, [SKIPPED]],
  [{ fileName: { in: ['plain.mp4', 'aXb.mp4', 'none', 'plain.mp4'] } }, [SKIPPED, OLD]],
  [{ fileName: { in: [] } }, []],
  [{ fileName: { equals: null, contains: null, startsWith: null, in: null } }, others()],
  [{ fileName: {} }, others()],
  [{ systemName: 'other' }, [OLD]],
  [{ systemName: '' }, []],
  [{ externalId: { equals: 'asset-3' } }, [FAILED]],
  [{ externalId: { in: ['asset-0', 'asset-4'] } }, [UEBER, OLD]],
  [{ duration: { gte: 60 } }, [UNDERSCORE]],
  [{ duration: { equals: 60 } }, [UNDERSCORE]],
  [{ width: { gte: 1281, lte: 1920 } }, [SKIPPED]],
  [{ width: { equals: 1920 } }, [SKIPPED]],
  [{ width: { gte: 2_147_483_647 } }, []],
  [{ height: { lte: 719 } }, []],
  [{ height: { gte: -2_147_483_648, lte: 0 } }, []],
  [{ duration: { gte: -1e308, lte: 1e-308 } }, []],
  [{ createdAt: { lt: '2020-01-01T00:00:00.001Z' } }, [OLD]],
  [{ createdAt: { lt: '2020-01-01T00:00:00Z' } }, []],
  [{ createdAt: { gte: '2020-01-01T01:00:00+01:00', lt: '2020-01-02T00:00:00Z' } }, [OLD]],
  [{ createdAt: { gte: '2020-01-01T00:00:00.001Z' } }, others(OLD)],
  [{ updatedAt: { gte: '2020-01-02T00:00:00Z', lt: '2021-01-01T00:00:00Z' } }, [OLD]],
  [{ createdAt: { gte: '0001-01-01T00:00:00Z' } }, others()],
  [{ createdAt: { gte: '9999-12-31T23:59:59Z' } }, []],
  [{ createdAt: { gte: null, lt: null }, updatedAt: null, width: null, systemName: null }, others()],
  [{ teamId: null, indexId: null }, others()],
  [{}, others()],
];

describe('tasks', () => {
  const OF_TASKS: readonly (readonly [TaskFilter, readonly string[]])[] = [
    [{ status: ['FAILED'] }, [FAILED]],
    [{ status: ['FAILED', 'SKIPPED', 'FAILED'] }, [SKIPPED, FAILED]],
    [{ status: [] }, []],
    [{ status: null, outcome: null, errorCode: null }, others()],
    [{ outcome: ['CREATED'] }, others(SKIPPED, FAILED)],
    [{ outcome: [] }, []],
    [{ errorCode: ['VIDEO_FILE_BROKEN', 'INTERNAL'] }, [FAILED]],
    [{ errorCode: ['INTERNAL'] }, []],
    [{ errorCode: [] }, []],
    [{ status: ['FAILED'], outcome: ['SKIPPED'] }, []],
    // What is not known yet is in no range.
    [{ width: { gte: 0 } }, others(FAILED)],
    [{ duration: { lte: 1000 } }, others(FAILED)],
  ];

  test.each([...TEXTS, ...OF_TASKS])('%j', async (filter, expected) => {
    expect(await taskNames(filter)).toEqual([...expected].sort());
    const ofImport = await server.query(OF_IMPORT, { id: `imp_${importId}`, filter });
    expect(ofImport.import?.tasks.nodes.map(({ fileName }) => fileName).sort()).toEqual([...expected].sort());
    expect(ofImport.import?.tasks.totalCount).toBe(expected.length);
  });

  test('by the ids of team, index, import and video', async () => {
    const ids = {
      teamId: `team_${team.teamId}`,
      indexId: `idx_${team.indexId}`,
      importId: `imp_${importId}`,
    };
    for (const [name, id] of Object.entries(ids)) expect(await taskNames({ [name]: id })).toEqual(others());
    expect(await taskNames({ ...ids, videoId: `vid_${videoId}` })).toEqual([UEBER]);
    for (const name of [...Object.keys(ids), 'videoId']) {
      for (const id of ['', 'x', team.teamId, `vid_${importId}`, 'imp_x', `task_${team.indexId}`])
        expect(await taskNames({ [name]: id })).toEqual([]);
    }
  });

  test('of an import take no importId and no teamId', async () => {
    for (const filter of [{ importId: `imp_${importId}` }, { teamId: `team_${team.teamId}` }]) {
      const answer = await server.send(OF_IMPORT, { id: `imp_${importId}`, filter });
      expect(answer.errors?.map(({ extensions }) => extensions?.code)).toEqual(['BAD_USER_INPUT']);
    }
  });
});

describe('videos', () => {
  const OF_VIDEOS: readonly (readonly [VideoFilter, readonly string[]])[] = [
    [{ name: { contains: 'the a' } }, [UNDERSCORE, SKIPPED]],
    [{ name: { equals: 'The plain.mp4' } }, [OLD]],
    [{ name: { startsWith: 'The ', contains: '%' } }, [UEBER]],
    [{ name: { in: [] } }, []],
    [{ name: null }, others()],
    [{ metadata: [{ key: 'reel', equals: 7 }] }, [UEBER, SKIPPED]],
    [{ metadata: [{ key: 'reel', equals: 7.0 }] }, [UEBER, SKIPPED]],
    [{ metadata: [{ key: 'reel', equals: '7' }] }, [UNDERSCORE]],
    [{ metadata: [{ key: 'reel', equals: true }] }, [FAILED]],
    [
      { metadata: [{ key: 'reel', in: [true, '7', 8, null, {}, []].filter((value) => value !== null) }] },
      [UNDERSCORE, FAILED],
    ],
    [{ metadata: [{ key: 'reel', in: [] }] }, []],
    [{ metadata: [{ key: 'reel', equals: { a: 1 } }] }, []],
    [{ metadata: [{ key: 'reel', equals: [7] }] }, []],
    [{ metadata: [{ key: 'reel', exists: true }] }, others(OLD)],
    [{ metadata: [{ key: 'reel', exists: false }] }, [OLD]],
    [{ metadata: [{ key: 'Reel', exists: true }] }, []],
    [{ metadata: [{ key: '__proto__', equals: 'p' }] }, [SKIPPED]],
    [
      {
        metadata: [
          { key: 'reel', equals: 7 },
          { key: '__proto__', exists: true },
        ],
      },
      [SKIPPED],
    ],
    [{ metadata: [{ key: `"}'; --`, equals: 1 }] }, []],
    [{ metadata: [] }, others()],
    [{ metadata: null }, others()],
  ];
  test.each([...TEXTS, ...OF_VIDEOS])('%j', async (filter, expected) => {
    expect(await videoNames(filter)).toEqual([...expected].sort());
  });

  test('by the ids of team and index', async () => {
    expect(await videoNames({ teamId: `team_${team.teamId}`, indexId: `idx_${team.indexId}` })).toEqual(
      others(),
    );
    expect(await videoNames({ indexId: `idx_${team.teamId}` })).toEqual([]);
    expect(await videoNames({ indexId: 'nonsense' })).toEqual([]);
  });
});

describe('imports', () => {
  test.each<readonly [ImportFilter | null, readonly string[]]>([
    [null, ['dam', 'failed']],
    [{ state: ['FAILED', 'PLANNING'] }, ['failed']],
    [{ state: ['SUCCEEDED'] }, ['dam']],
    [{ state: [] }, []],
    [{ state: null, hasFailures: null, systemName: null, createdAt: null }, ['dam', 'failed']],
    [{ hasFailures: true }, ['failed']],
    [{ hasFailures: false }, ['dam']],
    [{ systemName: 'dam' }, ['dam']],
    [{ systemName: 'Dam' }, []],
    [{ createdAt: { lt: '2020-01-01T00:00:01Z' } }, ['failed']],
    [{ createdAt: { gte: '2020-01-01T00:00:01Z' }, hasFailures: true }, []],
  ])('%j', async (filter, expected) => {
    expect(await importNames(filter)).toEqual(expected);
  });

  test('by the ids of team and index', async () => {
    expect(await importNames({ teamId: `team_${team.teamId}`, indexId: `idx_${team.indexId}` })).toEqual([
      'dam',
    ]);
    expect(await importNames({ indexId: 'idx_' })).toEqual([]);
  });
});

test.each([
  { fileName: { contains: 'a\0b' } },
  { fileName: { equals: '\0' } },
  { fileName: { startsWith: '\ud800' } },
  { externalId: { in: ['fine', 'x\0'] } },
  { systemName: '\udfff' },
])('a text that no row can hold is refused: %j', async (filter) => {
  for (const answer of [await server.send(TASKS, { filter }), await server.send(VIDEOS, { filter })]) {
    expect(answer.errors?.map(({ extensions }) => extensions?.code)).toEqual(['BAD_USER_INPUT']);
  }
  const ofImport = await server.send(OF_IMPORT, { id: `imp_${importId}`, filter });
  expect(ofImport.errors?.map(({ extensions }) => extensions?.code)).toEqual(['BAD_USER_INPUT']);
});

test.each<VideoFilter>([
  { metadata: [{ key: 'reel' }] },
  { metadata: [{ key: 'reel', equals: null, in: null, exists: null }] },
  { metadata: [{ key: 'reel', equals: 7, exists: true }] },
  { metadata: [{ key: 'reel', equals: 7, in: [7] }] },
  { metadata: [{ key: 'a\0', exists: true }] },
  { metadata: [{ key: 'reel', equals: '\ud800' }] },
  { metadata: [{ key: 'reel', in: Array.from({ length: 101 }, (_, n) => n) }] },
  { metadata: Array.from({ length: 101 }, () => ({ key: 'reel', exists: true })) },
])('a condition on metadata that is none is refused', async (filter) => {
  const answer = await server.send(VIDEOS, { filter });
  expect(answer.errors?.map(({ extensions }) => extensions?.code)).toEqual(['BAD_USER_INPUT']);
});

test.each([
  '2026-02-30T00:00:00Z',
  '0000-01-01T00:00:00Z',
  '0001-01-01T00:00:00+01:00',
  '9999-12-31T23:59:59-01:00',
  '2026-01-01',
  'yesterday',
  '2026-01-01T00:00:00',
  '+12026-01-01T00:00:00Z',
  '',
])('an instant that is none is refused: %j', async (gte) => {
  const answer = await server.send(TASKS, { filter: { createdAt: { gte } } });
  expect(answer.errors?.map(({ extensions }) => extensions?.code)).toEqual(['BAD_USER_INPUT']);
});
