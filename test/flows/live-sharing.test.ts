import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { toPublicId } from '../../src/services/public-ids.ts';
import { createTestClient, type TestClient } from '../support/client.ts';
import {
  firstTeam,
  insertFinishedImport,
  insertTeam,
  openRows,
  type Rows,
  type TeamRows,
} from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { type FollowOptions, follow, type Known, nothing, TRANSPORTS, type Transport } from './live.ts';

const TASKS = 30;
const MANY = 20;

let server: TestServer;
let rows: Rows;
let team: TeamRows;
let other: TeamRows;
let importId: string;
let id: string;
/** Statements of the API that name the import or a task of it, whoever is asking. */
const statements: string[] = [];
const query = pg.Client.prototype.query;

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  team = await firstTeam(rows, server.key);
  other = await insertTeam(rows, 'Other team');
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const [first, second] = args as [{ text?: string; values?: unknown[] } | string, unknown[]?]; // as pg takes them
    const values = typeof first === 'string' ? second : (first.values ?? second);
    if (JSON.stringify(values ?? []).includes(importId))
      statements.push(typeof first === 'string' ? first : (first.text ?? ''));
    return Reflect.apply(query, this, args);
  } as typeof query;
});

afterAll(async () => {
  pg.Client.prototype.query = query;
  await rows?.close();
  await server?.stop();
});

beforeEach(async () => {
  importId = await insertFinishedImport(rows, team, { tasks: TASKS, videos: 0 });
  id = toPublicId('Import', importId);
  await rows.all(
    `update tasks set status = 'PENDING', outcome = null, finished_at = null, waiting_for = 'WORKER', fraction = 0
      where import_id = $1`,
    [importId],
  );
  await rows.all(`update imports set state = 'STARTED', counts = null, finished_at = null where id = $1`, [
    importId,
  ]);
});

let isOver = false;
let watching: Promise<unknown>[] = [];

afterEach(async () => {
  isOver = true;
  await change(99);
  await Promise.all(watching);
  [isOver, watching] = [false, []];
});

/** Subscribers that have been told where things stand, and follow until the test is over. */
async function watch(
  count: number,
  options: Partial<FollowOptions> & { client?: TestClient } = {},
): Promise<Known[]> {
  const { client = server, transport = 'WebSocket', ...rest } = options;
  const all = Array.from({ length: count }, nothing);
  for (const known of all)
    watching.push(follow(client, { ...rest, transport, id, known, until: () => isOver }));
  await waitFor(() => all.every(({ events }) => events.length > 0), { what: 'the snapshots' });
  return all;
}

/** Changes one task, and tells of it. */
async function change(attempts: number): Promise<void> {
  await rows.all('update tasks set attempts = $2 where import_id = $1 and ordinal = 0', [importId, attempts]);
  await rows.all(`select pg_notify('sluice_changes', $1)`, [`${team.teamId} ${importId}`]);
}

const hasSeen = (attempts: number) => (known: Known) =>
  known.events.some(({ changed }) => changed.some((task) => task.attempts === attempts));

/** Changes a task until all have seen it. @returns what the API read meanwhile, and how long that took */
async function costOf(
  attempts: number,
  all: readonly Known[],
): Promise<{ readonly made: readonly string[]; readonly seconds: number }> {
  // Those that have just come are told by themselves at first.
  for (const before of [3, 2, 1]) {
    await change(attempts - before);
    await waitFor(() => all.every(hasSeen(attempts - before)), { what: 'the change before' });
  }
  statements.length = 0;
  const begun = performance.now();
  await change(attempts);
  await waitFor(() => all.every(hasSeen(attempts)), { what: 'the change' });
  return { made: [...statements], seconds: (performance.now() - begun) / 1000 };
}

const changesRead = (made: readonly string[]) => made.filter((text) => text.includes('jsonb_build_array'));
/** Each execution reads the import's row once. */
const executions = (made: readonly string[]) => made.filter((text) => text.includes('from "imports"'));

describe.each(TRANSPORTS)('over %s', (transport: Transport) => {
  test('a change is read once for all subscribers, and the event about it too', async () => {
    const all = await watch(MANY, { transport });
    const { made, seconds } = await costOf(5, all);
    // The change, and once more every two seconds without any.
    expect(changesRead(made).length, made.join('\n\n')).toBeLessThanOrEqual(3 + seconds / 2);
    expect(executions(made), made.join('\n\n')).toHaveLength(1);
    const last = all.map(({ events }) =>
      events.find(({ changed }) => changed.some((task) => task.attempts === 5)),
    );
    expect(new Set(last.map((event) => JSON.stringify(event))).size).toBe(1);
  });
});

test('who asks for no tasks is told nothing of them, beside others who do', async () => {
  const [withTasks, alone] = [await watch(2), await watch(2, { tasks: false })];
  await change(2);
  await waitFor(() => withTasks.every(hasSeen(2)));
  await waitFor(() => alone.every(({ events }) => events.length > 1));
  expect(
    alone.flatMap(({ events }) => events.flatMap(({ changed, rejected }) => [...changed, ...rejected])),
  ).toEqual([]);
});

test('who reaches more teams gets the same from an execution of its own; another team gets nothing', async () => {
  const wide = await insertTeam(rows, 'Both teams');
  await rows.all(
    `insert into api_key_teams (api_key_id, team_id) select id, $2 from api_keys where default_team_id = $1`,
    [wide.teamId, team.teamId],
  );
  const client = createTestClient({ url: server.url, key: wide.key });
  const both = [...(await watch(3)), ...(await watch(3, { client }))];
  expect(executions((await costOf(5, both)).made)).toHaveLength(2);
  const strange = createTestClient({ url: server.url, key: other.key });
  await expect(follow(strange, { transport: 'WebSocket', id })).rejects.toThrow('NOT_FOUND');
});

test('a snapshot of many tasks lets others be answered meanwhile', async () => {
  await rows.all(
    `insert into tasks (id, team_id, import_id, ordinal, index_id, video_id, file_name, name, name_given, incremental, waiting_for, stages)
     select gen_random_uuid(), $1, $2, 1000 + n, $3, gen_random_uuid(), 'clip', 'Clip', true, true, 'WORKER', '[]'
       from generate_series(1, 2000) n`,
    [team.teamId, importId, team.indexId],
  );
  const known = nothing();
  watching.push(follow(server, { transport: 'WebSocket', id, known, until: () => isOver }));
  let answered = 0;
  while (known.tasks.size < 2_000 + TASKS) {
    expect((await fetch(`${server.url}/health/live`)).status).toBe(200);
    answered += 1;
  }
  // Not one after all of it, but at least one for every few of its twenty pages.
  expect(answered).toBeGreaterThan(5);
});
