import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { toPublicId } from '../../src/services/public-ids.ts';
import { createTestClient } from '../support/client.ts';
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
import { type FollowFeedOptions, followFeed, isBeginning, type KnownFeed, noTasks } from './feed.ts';
import { TRANSPORTS } from './live.ts';

const TASKS = 250;

let server: TestServer;
let rows: Rows;
let team: TeamRows;
let other: TeamRows;
let importId: string;
/** Public ids of the import's tasks, in order. */
let ids: readonly string[];

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  team = await firstTeam(rows, server.key);
  other = await insertTeam(rows, 'others');
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

beforeEach(async () => {
  // A cursor goes back as far as any transaction of the whole cluster is open: nothing of an earlier test may lie there.
  for (const table of ['tasks', 'imports', 'deleted_tasks']) await rows.all(`delete from ${table}`);
  importId = await insertFinishedImport(rows, team, { tasks: TASKS, videos: 0 });
  ids = (
    await rows.all<{ id: string }>('select id from tasks where import_id = $1 order by ordinal', [importId])
  ).map(({ id }) => toPublicId('Task', id));
});

const tell = ({ teamId }: TeamRows = team) =>
  rows.all(`select pg_notify('sluice_changes', $1)`, [`${teamId} -`]);
/** Changes tasks from one ordinal to another, and tells of it. */
async function change(attempts: number, from = 0, to = from): Promise<void> {
  await rows.all('update tasks set attempts = $2 where import_id = $1 and ordinal between $3 and $4', [
    importId,
    attempts,
    from,
    to,
  ]);
  await tell();
}
const rowId = (ordinal: number) => (ids[ordinal] ?? '').slice('task_'.length);
const setStatus = (ordinal: number, status: 'FAILED' | 'CANCELED') =>
  rows.all(
    `update tasks set status = $2, outcome = $2, fraction = 0.5,
            error = '{"code": "INTERNAL", "message": "No.", "retryable": true}' where id = $1`,
    [rowId(ordinal), status],
  );
const remove = async (ordinal: number) => {
  await rows.all('delete from tasks where id = $1', [rowId(ordinal)]);
  await tell();
};
const cursorOf = (known: KnownFeed) => known.events.at(-1)?.cursor ?? null;
const codeOf = (attempt: Promise<unknown>) => attempt.then(() => 'none', String);

describe.each(TRANSPORTS)('over %s', (transport) => {
  const watch = (options: Omit<FollowFeedOptions, 'transport'>) =>
    followFeed(server, { transport, ...options });
  const begin = (options: Partial<FollowFeedOptions> = {}) => watch({ until: () => true, ...options });

  test('first a cursor alone, then what is changed, made and deleted, and nothing of another team', async () => {
    const known = noTasks();
    const strange = await insertFinishedImport(rows, other, { tasks: 1, videos: 0 });
    const watching = watch({ known, until: ({ tasks }) => tasks.has(ids[4] ?? '') });
    await waitFor(() => known.events.length === 1, { what: 'the first event' });
    expect(isBeginning(known.events[0] as never)).toBe(true);
    await rows.all('update tasks set attempts = 7 where import_id = $1', [strange]);
    await tell(other);
    await change(2, 3);
    await waitFor(() => known.tasks.get(ids[3] ?? '')?.attempts === 2, { what: 'the change' });
    await remove(3);
    await waitFor(() => !known.tasks.has(ids[3] ?? ''), { what: 'the deletion' });
    const made = await insertFinishedImport(rows, team, { tasks: 1, videos: 0 });
    await tell();
    await waitFor(() => known.tasks.size === 1, { what: 'the new task' });
    await change(2, 4);
    await watching;
    const [{ id: madeId } = { id: '' }] = await rows.all<{ id: string }>(
      'select id from tasks where import_id = $1',
      [made],
    );
    expect([...known.tasks.keys()].sort()).toEqual([toPublicId('Task', madeId), ids[4]].sort());
    expect(known.events.slice(1).every((event) => !isBeginning(event))).toBe(true);
  });

  test('progress is told while a task runs, each figure once, and to who comes back', async () => {
    const report = async (fraction: number) => {
      await rows.all(
        `insert into task_progress as p (task_id, import_id, team_id, claim, attempt, stage, stage_fraction, fraction, bytes_done)
         values ($1, $2, $3, 1, 1, 'UPLOAD', $4, $4, 1)
         on conflict (task_id) do update set fraction = excluded.fraction, version = p.version + 1`,
        [rowId(0), importId, team.teamId, fraction],
      );
      await tell();
    };
    await rows.all(
      `update tasks set status = 'UPLOADING', outcome = null, finished_at = null, fraction = 0 where id = $1`,
      [rowId(0)],
    );
    await report(0.1);
    const known = noTasks();
    const fractionIs = (fraction: number) => known.tasks.get(ids[0] ?? '')?.progress.fraction === fraction;
    const watching = watch({ known, until: () => fractionIs(0.3) });
    await waitFor(() => known.events.length === 1, { what: 'the first event' });
    await report(0.2);
    await waitFor(() => fractionIs(0.2), { what: 'the progress' });
    await report(0.3);
    await watching;
    expect(
      known.events.slice(1).map(({ changed }) => changed.map(({ progress }) => progress.fraction)),
    ).toEqual([[0.2], [0.3]]);
    const again = await watch({ after: cursorOf(known), until: ({ tasks }) => tasks.has(ids[0] ?? '') });
    expect(again.tasks.get(ids[0] ?? '')?.progress.fraction).toBe(0.3);
    await rows.all('delete from task_progress');
  });

  test('who goes on from a cursor gets what has changed since, in pages of 100, each task once, also from the middle', async () => {
    // Of this import alone: a cursor goes back as far as any transaction of the whole cluster is open.
    const filter = { importId: toPublicId('Import', importId) };
    const known = await begin({ filter });
    await change(2, 0, TASKS - 1);
    await remove(17);
    await watch({ known, filter, after: cursorOf(known), until: ({ events }) => events.length === 2 });
    expect(known.events[1]?.changed).toHaveLength(100);
    // What was told changes once more before the rest is asked for.
    const [again = ''] = known.tasks.keys();
    await rows.all('update tasks set attempts = 3 where id = $1', [again.slice('task_'.length)]);
    await tell();
    const isAll = ({ tasks }: KnownFeed) =>
      tasks.size === TASKS - 1 &&
      [...tasks.values()].every(({ id, attempts }) => attempts === (id === again ? 3 : 2));
    await watch({ known, filter, after: cursorOf(known), until: isAll });
    expect(known.events.slice(1).every((event) => !isBeginning(event))).toBe(true);
    // In one go, without a break, each comes once.
    const whole = await watch({
      filter,
      after: known.events[0]?.cursor ?? null,
      until: ({ tasks, events }) => tasks.size === TASKS - 1 && events.some((e) => e.removedIds.length > 0),
    });
    const told = whole.events.flatMap(({ changed, removedIds }) => [
      ...changed.map(({ id }) => id),
      ...removedIds,
    ]);
    expect(told.filter((id) => ids.includes(id)).sort()).toEqual([...ids].sort());
  });

  test('a task that does not match any more is removed, one that never could is not named', async () => {
    const known = noTasks();
    const filter = { status: ['FAILED' as const], importId: toPublicId('Import', importId) };
    const watching = watch({ known, filter, until: ({ events }) => events.at(-1)?.removedIds[0] === ids[3] });
    await waitFor(() => known.events.length === 1, { what: 'the first event' });
    await setStatus(2, 'FAILED');
    await tell();
    await waitFor(() => known.tasks.has(ids[2] ?? ''), { what: 'the match' });
    await setStatus(2, 'CANCELED');
    await tell();
    await waitFor(() => known.tasks.size === 0, { what: 'the end of the match' });
    const strange = await insertFinishedImport(rows, team, { tasks: 1, videos: 0 });
    await rows.all('update tasks set attempts = 4 where import_id = $1', [strange]);
    await remove(3);
    await watching;
    expect(known.events.slice(1).map(({ removedIds }) => removedIds)).toEqual([[], [ids[2]], [ids[3]]]);
  });

  test('what a transaction commits that was open before the cursor is not missed', async () => {
    const late = new pg.Client({ connectionString: server.databaseUrl });
    await late.connect();
    await late.query('begin');
    await late.query('update tasks set attempts = 5 where id = $1', [rowId(0)]);
    await late.query('delete from tasks where id = $1', [rowId(1)]);
    const known = noTasks();
    const watching = watch({ known, until: ({ tasks }) => tasks.has(ids[0] ?? '') });
    await waitFor(() => known.events.length === 1, { what: 'the first event' });
    for (const attempts of [2, 3]) {
      await change(attempts, 9);
      await waitFor(() => known.tasks.get(ids[9] ?? '')?.attempts === attempts, { what: 'the change' });
    }
    const cursor = cursorOf(known);
    await late.query('commit');
    await late.end();
    await tell();
    await watching;
    expect(known.events.slice(1).map(({ changed }) => changed.map(({ id }) => id))).toEqual([
      [ids[9]],
      [ids[9]],
      [ids[0]],
    ]);
    expect(known.events.at(-1)?.removedIds).toEqual([ids[1]]);
    const again = await watch({ after: cursor, until: ({ tasks }) => tasks.has(ids[0] ?? '') });
    expect(again.events.flatMap(({ removedIds }) => removedIds)).toContain(ids[1]);
  });

  test("a cursor that is none, another team's or too old gets a fresh beginning", async () => {
    const own = cursorOf(await begin()) ?? '';
    await remove(5);
    const theirs = createTestClient({ url: server.url, key: other.key });
    const strange = cursorOf(await followFeed(theirs, { transport, until: () => true })) ?? '';
    const [system, subject] = JSON.parse(Buffer.from(own, 'base64url').toString());
    const encode = (parts: unknown) => Buffer.from(JSON.stringify(parts)).toString('base64url');
    const future = encode([system, subject, '18446744073709551615', null]);
    for (const after of [
      '',
      'nonsense',
      own.slice(0, -4),
      strange,
      future,
      encode([system, subject, '0', null]),
    ]) {
      const { events } = await begin({ after });
      expect(events.map(isBeginning)).toEqual([true]);
    }
    const goneOn = await watch({
      after: own,
      until: (_, { removedIds }) => removedIds.includes(ids[5] ?? ''),
    });
    expect(goneOn.events.some(isBeginning)).toBe(false);
    await rows.all(`update deleted_tasks set deleted_at = now() - interval '7 days 1 minute' where id = $1`, [
      rowId(5),
    ]);
    expect((await begin({ after: own })).events.map(isBeginning)).toEqual([true]);
  });

  test('what is not theirs and what does not exist are the same: a beginning, and silence', async () => {
    const otherImport = await insertFinishedImport(rows, other, { tasks: 1, videos: 0 });
    const nothing = toPublicId('Team', importId);
    const filters = [
      { teamId: toPublicId('Team', other.teamId) },
      { teamId: nothing },
      { teamId: 'nonsense' },
      { indexId: toPublicId('Index', other.indexId) },
      { importId: toPublicId('Import', otherImport) },
      { importId: toPublicId('Import', team.teamId) },
      { videoId: 'vid_nonsense' },
    ];
    const silent = filters.map(() => noTasks());
    // They stay to the end of the server.
    for (const [at, filter] of filters.entries())
      void watch({ filter, known: silent[at] ?? noTasks(), until: () => false }).catch(() => {});
    await waitFor(() => silent.every(({ events }) => events.length === 1), { what: 'the beginnings' });
    await rows.all('update tasks set attempts = 3 where team_id = $1', [other.teamId]);
    await tell(other);
    const theirs = createTestClient({ url: server.url, key: other.key });
    const known = noTasks();
    const seen = followFeed(theirs, { transport, known, until: ({ tasks }) => tasks.size > 0 });
    await waitFor(() => known.events.length === 1, { what: 'the beginning' });
    await rows.all('update tasks set attempts = 4 where team_id = $1', [other.teamId]);
    await tell(other);
    await seen;
    expect(silent.map(({ events }) => events.map(isBeginning))).toEqual(filters.map(() => [true]));
    expect(new Set(silent.map(({ events }) => events[0]?.cursor.length)).size).toBe(1);
  });

  test('what cannot be compared, and too many values, are errors before it begins', async () => {
    const many = Array.from({ length: 5_001 }, (_, at) => `${at}`);
    for (const filter of [{ fileName: { equals: '\0' } }, { externalId: { in: many } }])
      expect(await codeOf(begin({ filter }))).toContain('BAD_USER_INPUT');
  });
});
