import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { createDatabase, type DatabaseClient } from '../../src/db/client.ts';
import { createCursors } from '../../src/services/cursors.ts';
import { readChanges } from '../../src/services/import-changes.ts';
import { createImportSnapshots, type ImportSnapshots } from '../../src/services/import-snapshots.ts';
import { log } from '../jobs/support.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { insertFinishedImport, insertTeam, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { waitFor } from '../support/wait.ts';

let database: TestDatabase;
let client: DatabaseClient;
let rows: Rows;
let team: TeamRows;
let snapshots: ImportSnapshots;
/** What the client asks. */
const asked: { readonly text: string; readonly values: readonly unknown[] }[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  client = createDatabase({ url: database.url, log, applicationName: 'test' });
  rows = await openRows(database.url);
  team = await insertTeam(rows, 'watchers');
  const query = client.pool.query.bind(client.pool) as (...args: readonly unknown[]) => Promise<unknown>;
  client.pool.query = ((...args: readonly unknown[]) => {
    const [{ text, values }] = args as [pg.QueryConfig];
    asked.push({ text, values: values ?? [] });
    return query(...args);
  }) as typeof client.pool.query;
});

beforeEach(async () => {
  snapshots = createImportSnapshots({ db: client.db, cursors: await createCursors(client.db) });
  asked.length = 0;
});

afterAll(async () => {
  await rows?.close();
  await client?.close();
  await database?.drop();
});

const insertImport = (tasks: number) => insertFinishedImport(rows, team, { tasks, videos: 0 });
/** Of a snapshot that begins now, a moment after all that was asked for before. */
const begin = (importId: string, after = -1) => ({
  importId,
  base: { xmin: '0', at: performance.now() + 1 },
  tasks: true,
  begins: true,
  after,
});

test('who asks at the same time is given the same page, and one after the other all of them', async () => {
  const importId = await insertImport(250);
  const seen: string[] = [];
  for (let after = -1, isLast = false; !isLast; ) {
    const [first, ...others] = await Promise.all(
      Array.from({ length: 10 }, () =>
        snapshots.page({ ...begin(importId, after), base: { xmin: '0', at: 0 } }),
      ),
    );
    for (const other of others) expect(other).toBe(first);
    seen.push(...(first?.event.changedIds ?? []));
    ({ ordinal: after = 0, isLast = true } = first ?? {});
  }
  expect(asked).toHaveLength(3);
  expect(new Set(seen).size).toBe(250);
});

test('who comes later is given nothing that was read before', async () => {
  const importId = await insertImport(1);
  const before = await snapshots.page(begin(importId));
  await rows.all('update tasks set attempts = attempts + 1 where import_id = $1', [importId]);
  const after = await snapshots.page(begin(importId));
  expect(after.rows[0]?.version).not.toBe(before.rows[0]?.version);
});

test('those who come while it is read share the next read', async () => {
  const importId = await insertImport(1);
  const blocker = new pg.Client({ connectionString: database.url });
  await blocker.connect();
  await blocker.query('begin; lock table tasks in access exclusive mode');
  try {
    const first = snapshots.page(begin(importId));
    const later = Array.from({ length: 10 }, () => snapshots.page(begin(importId)));
    await rows.all(`update imports set found = found where id = $1`, [importId]);
    await blocker.query('commit');
    const [next, ...others] = await Promise.all(later);
    expect(next).not.toBe(await first);
    for (const other of others) expect(other).toBe(next);
    expect(asked).toHaveLength(2);
  } finally {
    await blocker.end();
  }
});

test('a read that fails is nobody else’s', async () => {
  const importId = await insertImport(1);
  const blocker = new pg.Client({ connectionString: database.url });
  await blocker.connect();
  await blocker.query('begin; lock table tasks in access exclusive mode');
  try {
    const failing = snapshots.page(begin(importId));
    const failed = expect(failing).rejects.toThrow();
    await waitFor(async () => {
      const ended = await rows.all(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'test' and wait_event_type = 'Lock'`,
      );
      return ended.length > 0;
    });
    await failed;
    await blocker.query('commit');
    expect((await snapshots.page(begin(importId))).rows).toHaveLength(1);
  } finally {
    await blocker.end();
  }
});

test('those who come right after another begin together, and not where that one did', async () => {
  const importId = await insertImport(1);
  // However long this takes, they come right after it.
  const now = vi.spyOn(performance, 'now').mockReturnValue(1_000_000);
  onTestFinished(() => now.mockRestore());
  const before = await snapshots.begin(importId);
  await rows.all('update imports set found = 7 where id = $1', [importId]);
  const [next, ...others] = await Promise.all(Array.from({ length: 10 }, () => snapshots.begin(importId)));
  expect(next?.version).not.toBe(before?.version);
  for (const other of others) expect(other).toBe(next);
  expect(asked).toHaveLength(2);
});

test('to find what has changed no task is read that has not', async () => {
  const importId = await insertImport(20_000);
  await rows.all(
    `insert into task_progress (task_id, import_id, team_id, claim, attempt, stage, stage_fraction, fraction, bytes_done)
     select id, import_id, team_id, 1, 1, 'UPLOAD', 0, 0, 0 from tasks where import_id = $1 order by ordinal limit 20`,
    [importId],
  );
  await rows.all('vacuum analyze tasks, task_progress');
  // Not the oldest transaction that runs, as in earnest: that may be one of another test, from before all of this.
  const { since } = await rows.one<{ since: string }>('select pg_current_xact_id()::text as since');
  await rows.all(
    'update tasks set attempts = attempts + 1 where import_id = $1 and ordinal between 10000 and 10009',
    [importId],
  );
  const changes = await readChanges(client.db, importId, { since });
  expect(changes?.rows).toHaveLength(30);
  const { text = '', values = [] } = asked.at(-1) ?? {};
  const [{ 'QUERY PLAN': plan } = { 'QUERY PLAN': '' }] = await rows.all<{ 'QUERY PLAN': unknown }>(
    `explain (analyze, format json) ${text}`,
    values,
  );
  expect(mostReadOf(plan)).toBeLessThan(200);
});

/** The most rows that one step of a plan has read, all its runs together. */
function mostReadOf(plan: unknown): number {
  const own: number[] = [];
  JSON.stringify(plan, (_key, node) => {
    if (node !== null && typeof node === 'object' && 'Actual Rows' in node)
      own.push((node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops']);
    return node;
  });
  return Math.max(...own);
}
