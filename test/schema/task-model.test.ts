import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { graphql, type VariablesOf } from '../support/graphql.ts';
import { firstTeam, insertFinishedImport, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { type PageVariables, walkBackwards, walkForwards } from './paging.ts';

const TASKS = graphql(`
  query ModelTasks($filter: TaskFilter, $orderBy: TaskOrder, $first: Int, $after: String, $last: Int, $before: String) {
    tasks(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {
      totalCount
      nodes { id }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
`);

type Filter = NonNullable<VariablesOf<typeof TASKS>['filter']>;

const STATUSES = ['PENDING', 'QUEUED', 'READY', 'SKIPPED', 'FAILED', 'CANCELED'] as const;
const OUTCOMES = {
  PENDING: null,
  QUEUED: null,
  READY: 'CREATED',
  SKIPPED: 'SKIPPED',
  FAILED: 'FAILED',
  CANCELED: 'CANCELED',
} as const;
const CODES = ['INTERNAL', 'VIDEO_FILE_BROKEN'] as const;
// Few of each, so that rows have much in common; instants a millisecond apart.
const NAMES = [
  'a.mp4',
  'A.mp4',
  'a_b.mp4',
  'aXb.mp4',
  'ab%.mp4',
  'ünder.mp4',
  `${'long'.repeat(80)}.mp4`,
  `${'long'.repeat(80)}.mkv`,
];
const TEXTS = ['a', 'A', '_', '%', 'X', '.mp4', 'Ü', 'a_', 'longlong', '', 'none'];
const INSTANTS = [0, 1, 2, 1000].map((ms) => new Date(Date.UTC(2026, 0, 1) + ms));

interface Row {
  readonly id: string;
  readonly status: (typeof STATUSES)[number];
  readonly fileName: string;
  readonly externalId: string | null;
  readonly inSecondIndex: boolean;
  readonly ofImport: boolean;
  readonly width: number | null;
  readonly code: (typeof CODES)[number];
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const row: fc.Arbitrary<Row> = fc.record({
  id: fc.uuid({ version: 7 }),
  status: fc.constantFrom(...STATUSES),
  fileName: fc.constantFrom(...NAMES),
  externalId: fc.constantFrom(null, 'one', 'two'),
  inSecondIndex: fc.boolean(),
  ofImport: fc.boolean(),
  width: fc.constantFrom(null, 640, 1280),
  code: fc.constantFrom(...CODES),
  createdAt: fc.constantFrom(...INSTANTS),
  updatedAt: fc.constantFrom(...INSTANTS),
});

/** A filter, and what it asks of a row in plain words. */
interface Part {
  readonly filter: (ids: Ids) => Filter;
  readonly holds: (row: Row) => boolean;
}
interface Ids {
  readonly indexId: string;
  readonly importId: string;
  readonly teamId: string;
}

const text = fc.constantFrom(...NAMES, ...TEXTS);
const range = fc.record(
  { gte: fc.constantFrom(...INSTANTS), lt: fc.constantFrom(...INSTANTS) },
  { requiredKeys: [] },
);
const written = ({ gte, lt }: { gte?: Date; lt?: Date }) => ({
  ...(gte ? { gte: gte.toISOString() } : {}),
  ...(lt ? { lt: lt.toISOString() } : {}),
});
const isIn = ({ gte, lt }: { gte?: Date; lt?: Date }, at: Date) => (!gte || at >= gte) && (!lt || at < lt);
const errorOf = (row: Row) => (row.status === 'FAILED' ? row.code : null);

const part: fc.Arbitrary<Part> = fc.oneof(
  fc
    .subarray([...STATUSES])
    .map((status) => ({ filter: () => ({ status }), holds: (row: Row) => status.includes(row.status) })),
  fc.subarray(['CREATED', 'FAILED', 'SKIPPED'] as const).map((outcome) => ({
    filter: () => ({ outcome }),
    holds: (row: Row) => outcome.some((one) => one === OUTCOMES[row.status]),
  })),
  fc.subarray([...CODES], { minLength: 1 }).map((errorCode) => ({
    filter: () => ({ errorCode }),
    holds: (row: Row) => errorCode.some((one) => one === errorOf(row)),
  })),
  text.map((contains) => ({
    filter: () => ({ fileName: { contains } }),
    holds: (row: Row) => row.fileName.toLowerCase().includes(contains.toLowerCase()),
  })),
  text.map((startsWith) => ({
    filter: () => ({ fileName: { startsWith } }),
    holds: (row: Row) => row.fileName.startsWith(startsWith),
  })),
  text.map((equals) => ({
    filter: () => ({ fileName: { equals } }),
    holds: (row: Row) => row.fileName === equals,
  })),
  fc.subarray(NAMES).map((names) => ({
    filter: () => ({ fileName: { in: names } }),
    holds: (row: Row) => names.includes(row.fileName),
  })),
  fc.constant({
    filter: () => ({ externalId: { equals: 'one' } }),
    holds: (row: Row) => row.externalId === 'one',
  }),
  fc.constant({
    filter: ({ indexId }: Ids) => ({ indexId: `idx_${indexId}` }),
    holds: (row: Row) => row.inSecondIndex,
  }),
  fc.constant({
    filter: ({ importId }: Ids) => ({ importId: `imp_${importId}` }),
    holds: (row: Row) => row.ofImport,
  }),
  fc.constant({ filter: ({ teamId }: Ids) => ({ teamId: `team_${teamId}` }), holds: () => true }),
  fc.constant({
    filter: () => ({ width: { gte: 641 } }),
    holds: (row: Row) => row.width !== null && row.width >= 641,
  }),
  range.map((createdAt) => ({
    filter: () => ({ createdAt: written(createdAt) }),
    holds: (row: Row) => isIn(createdAt, row.createdAt),
  })),
  range.map((updatedAt) => ({
    filter: () => ({ updatedAt: written(updatedAt) }),
    holds: (row: Row) => isIn(updatedAt, row.updatedAt),
  })),
);

const question = fc.record({
  parts: fc.array(part, { maxLength: 3 }),
  field: fc.constantFrom('CREATED_AT', 'UPDATED_AT'),
  direction: fc.constantFrom('ASC', 'DESC'),
  size: fc.oneof(fc.integer({ min: 1, max: 7 }), fc.constant(100)),
  isBackward: fc.boolean(),
});
type Question = typeof question extends fc.Arbitrary<infer T> ? T : never;

let server: TestServer;
let rows: Rows;
let team: TeamRows;
let ids: Ids;

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  team = await firstTeam(rows, server.key);
  const { id: indexId } = await rows.one<{ id: string }>(
    `insert into indexes (id, team_id, name) values (gen_random_uuid(), $1, 'Second') returning id`,
    [team.teamId],
  );
  ids = { teamId: team.teamId, indexId, importId: await insertFinishedImport(rows, team, { tasks: 0 }) };
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

async function fill(data: readonly Row[]): Promise<void> {
  await rows.all('truncate tasks cascade');
  await rows.all(
    `insert into tasks (id, team_id, import_id, ordinal, index_id, video_id, system_name, external_id, file_name, name, name_given,
                        incremental, status, outcome, skip_reason, error, waiting_for, fraction, stages, system_metadata,
                        created_at, updated_at, finished_at)
     select r.id, $2, case when "ofImport" then $4::uuid end, n, case when "inSecondIndex" then $3::uuid else $5::uuid end, gen_random_uuid(),
            'dam', "externalId", "fileName", 'Name', true, true, status, r.outcome, case when status = 'SKIPPED' then 'SAME_CONTENT' end,
            case when status = 'FAILED' then jsonb_build_object('code', code, 'message', 'no', 'retryable', false) end,
            case when r.outcome is null then 'WORKER' end, case when status in ('READY', 'SKIPPED') then 1 else 0 end, '[]',
            case when width is not null then jsonb_build_object('width', width, 'height', 1, 'duration', 1) end,
            "createdAt", "updatedAt", case when r.outcome is not null then now() end
       from jsonb_to_recordset($1::jsonb) as r(n int, id uuid, status text, outcome text, "fileName" text, "externalId" text,
              "inSecondIndex" boolean, "ofImport" boolean, width int, code text, "createdAt" timestamptz, "updatedAt" timestamptz)`,
    [
      JSON.stringify(data.map((each, n) => ({ ...each, n, outcome: OUTCOMES[each.status] }))),
      ids.teamId,
      ids.indexId,
      ids.importId,
      team.indexId,
    ],
  );
}

/** What a list should be, in plain words. */
function expected(data: readonly Row[], { parts, field, direction }: Question): string[] {
  const by = field === 'CREATED_AT' ? 'createdAt' : 'updatedAt';
  const sign = direction === 'ASC' ? 1 : -1;
  return data
    .filter((each) => parts.every(({ holds }) => holds(each)))
    .sort((a, b) => sign * (a[by].getTime() - b[by].getTime() || (a.id < b.id ? -1 : 1)))
    .map(({ id }) => `task_${id}`);
}

/** A later part of the same kind replaces an earlier one, as keys of one object do. */
function distinct(parts: readonly Part[]): readonly Part[] {
  return [...new Map(parts.map((each) => [Object.keys(each.filter(ids))[0], each])).values()];
}

test('any list of tasks is what its filter and order say: each row once, page by page, forwards and backwards', async () => {
  const property = fc.asyncProperty(
    fc.uniqueArray(row, { selector: ({ id }) => id, maxLength: 40 }),
    fc.array(question, { minLength: 1, maxLength: 4 }),
    async (data, questions) => {
      await fill(data);
      for (const asked of questions) {
        const parts = distinct(asked.parts);
        const filter = Object.assign({}, ...parts.map((each) => each.filter(ids))) as Filter;
        const orderBy = { field: asked.field, direction: asked.direction } as const;
        const right = expected(data, { ...asked, parts: [...parts] });
        const read = async (page: PageVariables) => {
          const found = (await server.query(TASKS, { ...page, filter, orderBy })).tasks;
          expect(found.totalCount).toBe(right.length);
          return found;
        };
        const walk = asked.isBackward ? walkBackwards : walkForwards;
        expect(await walk(read, asked.size), JSON.stringify({ filter, orderBy })).toEqual(right);
      }
    },
  );
  await fc.assert(property, { numRuns: 40, interruptAfterTimeLimit: 12_000, markInterruptAsFailure: false });
});
