import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDatabase } from '../../src/db/client.ts';
import { foldUsage } from '../../src/services/fold-usage.ts';
import { createTestClient, type TestClient } from '../support/client.ts';
import { graphql } from '../support/graphql.ts';
import { insertTeam, type TeamRows } from '../support/rows.ts';
import { waitFor } from '../support/wait.ts';
import { type ProvingGround, startProvingGround } from './proving-ground.ts';

const START = graphql(`mutation LimitedStart($input: StartImportInput!) {
  startImport(input: $input) {
    __typename
    ... on Error { message }
    ... on StartImportSuccess { import { id } }
    ... on UsageLimitExceededError { limit used maximum }
  }
}`);
const CREATE = graphql(`mutation LimitedCreate($input: CreateTaskInput!) {
  createTask(input: $input) {
    __typename
    ... on Error { message }
    ... on CreateTaskSuccess { task { id } }
    ... on UsageLimitExceededError { limit used maximum }
  }
}`);
const RETRY_IMPORT = graphql(`mutation LimitedRetryImport($id: ID!) {
  retryImport(id: $id) { __typename ... on UsageLimitExceededError { limit used maximum } }
}`);
const RETRY_TASK = graphql(`mutation LimitedRetryTask($id: ID!) {
  retryTask(id: $id) { __typename ... on UsageLimitExceededError { limit used maximum } }
}`);
const CANCEL = graphql(`mutation LimitedCancel($id: ID!) { cancelImport(id: $id) { __typename } }`);
const PLAN = graphql(`query LimitedPlan($input: StartImportInput!) {
  importPlan(input: $input) { __typename ... on ImportPlanSuccess { plan { acceptedCount exceededLimits } } }
}`);
const USAGE = graphql(`query LimitedUsage {
  viewer { defaultTeam { usage { videos bytes seconds maxVideos maxBytes maxSeconds } } }
}`);
const IMPORT = graphql(`query LimitedImport($id: ID!) {
  import(id: $id) {
    state finished counts { found ready rejected failed canceled }
    failedFiles(first: 100) { nodes { error { code message retryable measured required } } }
    tasks(first: 100) { nodes { id status error { code message measured required } } }
  }
}`);
const TASK = graphql(`query LimitedTask($id: ID!) { task(id: $id) { status finishedAt error { code } } }`);

let ground: ProvingGround;
let team: TeamRows;
/** Of the two servers, with a key of the test's own team. */
let clients: readonly [TestClient, TestClient];
let client: TestClient;
let names = 0;

beforeAll(async () => {
  ground = await startProvingGround({ servers: 2 });
});
afterAll(() => ground?.stop());
beforeEach(async () => {
  team = await insertTeam(ground.rows, `Limited team ${names}`);
  const clientAt = (url: string) => createTestClient({ url, key: team.key });
  clients = [clientAt(ground.url), clientAt(ground.otherUrl)];
  [client] = clients;
});

interface Limits {
  readonly videos?: number;
  readonly bytes?: number;
  readonly seconds?: number;
}

async function limit({ videos, bytes, seconds }: Limits): Promise<void> {
  await ground.rows.all('update teams set max_videos = $2, max_bytes = $3, max_seconds = $4 where id = $1', [
    team.teamId,
    videos ?? null,
    bytes ?? null,
    seconds ?? null,
  ]);
}

/** The input of an import of new videos by URL; `held` keeps their transfers waiting. */
function importOf(count: number, held?: AbortSignal) {
  names += 1;
  const systemName = `limited-${names}`;
  const videos = Array.from({ length: count }, (_, n) => ({
    externalId: String(n),
    url: ground.origin.put({ bytes: ground.freshContent(), ...(held ? { held } : {}) }),
    fileName: `${n}.mp4`,
  }));
  return { input: { from: { videos: { systemName, videos } } } };
}

async function start(count: number, held?: AbortSignal): Promise<string> {
  const { startImport } = await client.query(START, importOf(count, held));
  if (startImport.__typename !== 'StartImportSuccess') throw new Error(JSON.stringify(startImport));
  ground.told('imports', startImport.import.id);
  return startImport.import.id;
}

const look = async (id: string) => {
  const { import: found } = await client.query(IMPORT, { id });
  if (!found) throw new Error('the import is gone');
  return found;
};
const ended = (id: string) =>
  waitFor(
    async () => {
      const found = await look(id);
      return found.finished && found;
    },
    { timeout: 120_000, what: 'the end of the import' },
  );
const usage = async () => (await client.query(USAGE)).viewer.defaultTeam.usage;

/** What is held and promised, recounted from the rows that hold it. */
const taken = () =>
  ground.rows.one<{ videos: number; bytes: number; seconds: number }>(
    `select (v.videos + t.videos)::int as videos, (v.bytes + t.bytes)::float8 as bytes, (v.seconds + t.seconds)::float8 as seconds
       from (select count(*) as videos, coalesce(sum((system_metadata ->> 'size')::bigint), 0) as bytes,
                    coalesce(sum(duration), 0) as seconds from videos where team_id = $1) v,
            (select coalesce(sum(reserved_videos), 0) as videos, coalesce(sum(reserved_bytes), 0) as bytes,
                    coalesce(sum(reserved_milliseconds), 0) / 1000.0 as seconds from tasks where team_id = $1) t`,
    [team.teamId],
  );

const proof = (work: () => Promise<void>) => () => ground.prove(work);

test(
  'fifty imports at once on two servers bring in what there is room for, and never more',
  proof(async () => {
    const [room, size] = [25, ground.freshContent().length];
    await limit({ videos: room, bytes: 1000 * size });
    let over = 0;
    let isOver = false;
    const watch = (async () => {
      while (!isOver) over = Math.max(over, (await taken()).videos);
    })();
    const answers = await Promise.all(
      Array.from({ length: 50 }, async (_, n) => {
        const { startImport } = await (clients[n % 2] ?? client).query(START, importOf(2));
        if (startImport.__typename === 'StartImportSuccess') ground.told('imports', startImport.import.id);
        return startImport;
      }),
    );
    let ready = 0;
    for (const answer of answers) {
      if (answer.__typename !== 'StartImportSuccess') {
        expect(answer).toMatchObject({
          __typename: 'UsageLimitExceededError',
          limit: 'VIDEOS',
          maximum: room,
        });
        continue;
      }
      const { counts, failedFiles } = await ended(answer.import.id);
      expect(counts.ready + counts.rejected).toBe(2);
      ready += counts.ready;
      for (const { error } of failedFiles.nodes)
        expect(error).toMatchObject({
          code: 'USAGE_LIMIT_EXCEEDED',
          measured: `${room + 1} videos`,
          required: `${room} videos`,
        });
    }
    isOver = true;
    await watch;
    expect(over).toBe(room);
    expect(ready).toBe(room);
    expect(await usage()).toMatchObject({ videos: room, bytes: await sumOf('size'), maxVideos: room });
  }),
);

const sumOf = async (figure: 'size' | 'duration') => {
  const statement = `select sum((system_metadata ->> '${figure}')::float8) as sum from videos where team_id = $1`;
  return (await ground.rows.one<{ sum: number }>(statement, [team.teamId])).sum;
};

test(
  'what turns out too large behind its transfer fails, and holds nothing afterwards',
  proof(async () => {
    const bytes = ground.freshContent();
    await limit({ bytes: bytes.length - 1, videos: 10 });
    const url = ground.origin.put({ bytes });
    const { createTask } = await client.query(CREATE, { input: { from: { url } } });
    if (createTask.__typename !== 'CreateTaskSuccess') throw new Error(JSON.stringify(createTask));
    ground.told('tasks', createTask.task.id);
    const task = await waitFor(async () => {
      const { task: found } = await client.query(TASK, createTask.task);
      return found?.finishedAt ? found : null;
    });
    expect(task).toMatchObject({ status: 'FAILED', error: { code: 'USAGE_LIMIT_EXCEEDED' } });
    expect(await taken()).toEqual({ videos: 0, bytes: 0, seconds: 0 });
    // With the limit raised, it comes in when it is tried again.
    await limit({ bytes: bytes.length, videos: 1 });
    expect((await client.query(RETRY_TASK, createTask.task)).retryTask.__typename).toBe('RetryTaskSuccess');
    await waitFor(async () => (await client.query(TASK, createTask.task)).task?.status === 'READY');
    expect(await usage()).toMatchObject({ videos: 1, bytes: bytes.length });
  }),
);

test(
  'room that was promised is free again when an import is canceled, and is asked for anew when it is retried',
  proof(async () => {
    const held = new AbortController();
    await limit({ videos: 3 });
    const id = await start(3, held.signal);
    expect(await taken()).toMatchObject({ videos: 3 });
    expect(await usage()).toMatchObject({ videos: 0 });
    expect((await client.query(START, importOf(1))).startImport).toMatchObject({
      __typename: 'UsageLimitExceededError',
      used: 3,
    });
    await client.query(CANCEL, { id });
    await ended(id);
    expect(await taken()).toEqual({ videos: 0, bytes: 0, seconds: 0 });

    // Another import takes two of the three places: of what is tried again, one comes in.
    held.abort();
    await ended(await start(2));
    expect((await client.query(RETRY_IMPORT, { id })).retryImport.__typename).toBe('RetryImportSuccess');
    const { counts, tasks } = await ended(id);
    expect(counts).toMatchObject({ ready: 1, failed: 2, canceled: 0 });
    expect(tasks.nodes.flatMap(({ error }) => (error ? [error.code] : []))).toEqual([
      'USAGE_LIMIT_EXCEEDED',
      'USAGE_LIMIT_EXCEEDED',
    ]);
    expect(await usage()).toMatchObject({ videos: 3 });
  }),
);

test('a limit that is reached refuses every call that would bring in more, and does nothing', async () => {
  const id = await start(2);
  const [failed] = (await ended(id)).tasks.nodes;
  await ground.rows.all(
    `update tasks set status = 'FAILED', outcome = 'FAILED', fraction = 0.5, reason = 'x', error = '{"code":"INTERNAL","message":"x","retryable":true}' where id = $1`,
    [failed?.id.slice('task_'.length)],
  );
  await limit({ seconds: 8 });
  const refused = { __typename: 'UsageLimitExceededError', limit: 'SECONDS', used: 8, maximum: 8 };
  const stored = () =>
    ground.rows.all(
      'select id, version::text from tasks union all select id, updated_at::text from imports order by 1',
    );
  const before = await stored();

  expect((await client.query(START, importOf(1))).startImport).toMatchObject(refused);
  const url = ground.origin.put({ bytes: ground.freshContent() });
  expect((await client.query(CREATE, { input: { from: { url } } })).createTask).toMatchObject(refused);
  expect((await client.query(RETRY_IMPORT, { id })).retryImport).toMatchObject(refused);
  expect((await client.query(RETRY_TASK, { id: failed?.id ?? '' })).retryTask).toMatchObject(refused);
  const { importPlan } = await client.query(PLAN, importOf(1));
  expect(importPlan).toMatchObject({ plan: { acceptedCount: 1, exceededLimits: ['SECONDS'] } });

  expect(await stored()).toEqual(before);
  expect(await usage()).toMatchObject({ videos: 2, seconds: 8, maxSeconds: 8, maxBytes: null });
  // Whatever deletes a video gives its room back.
  await ground.rows.all('delete from videos where id = (select id from videos where team_id = $1 limit 1)', [
    team.teamId,
  ]);
  expect(await usage()).toMatchObject({ videos: 1, seconds: 4 });
  expect((await client.query(PLAN, importOf(2))).importPlan).toMatchObject({
    plan: { exceededLimits: ['SECONDS'] },
  });
  expect((await client.query(PLAN, importOf(1))).importPlan).toMatchObject({ plan: { exceededLimits: [] } });
});

test('changes are added up once, whoever does it, and readers see the same all the time', async () => {
  await ended(await start(5));
  const expected = await usage();
  expect(expected.videos).toBe(5);
  const client = createDatabase({
    url: ground.databaseUrl,
    log: pino({ level: 'silent' }),
    max: 4,
    applicationName: 'test',
  });
  const seen = new Set<string>();
  await Promise.all([
    ...Array.from({ length: 4 }, () => foldUsage(client.db)),
    ...Array.from({ length: 10 }, async () => seen.add(JSON.stringify(await usage()))),
  ]);
  await client.close();
  expect(seen).toEqual(new Set([JSON.stringify(expected)]));
  // A server that adds up at the same time has taken some of them, and not committed yet.
  await waitFor(async () => (await ground.rows.count('team_usage_changes')) === 0, {
    what: 'the last of the changes',
  });
});
