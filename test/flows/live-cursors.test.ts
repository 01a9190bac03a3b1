import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { toPublicId } from '../../src/services/public-ids.ts';
import { graphql } from '../support/graphql.ts';
import { firstTeam, insertFinishedImport, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import {
  expectAllKnown,
  type FollowOptions,
  follow,
  type Known,
  nothing,
  over,
  PROGRESS,
  storedTasks,
  TASK_PROGRESS,
  TRANSPORTS,
} from './live.ts';
import { openSlowReader } from './slow-reader.ts';

const TASKS = 250;
const CURSOR = graphql(`query CursorOfImport($id: ID!) { import(id: $id) { cursor } }`);

let server: TestServer;
let rows: Rows;
let team: TeamRows;
/** Of the import of a test: 250 tasks that no worker knows of, so that they change as the test says. */
let importId: string;
let id: string;
/** The ids of its tasks, in order. */
let ids: readonly string[];

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  team = await firstTeam(rows, server.key);
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

beforeEach(() => openImport(TASKS));

async function openImport(tasks: number): Promise<void> {
  importId = await insertFinishedImport(rows, team, { tasks, videos: 0 });
  id = toPublicId('Import', importId);
  await rows.all(
    `update tasks set status = 'PENDING', outcome = null, finished_at = null, waiting_for = 'WORKER', fraction = 0
      where import_id = $1`,
    [importId],
  );
  await rows.all(`update imports set state = 'STARTED', counts = null, finished_at = null where id = $1`, [
    importId,
  ]);
  ids = [...(await storedTasks(rows, id)).keys()];
}

const tell = () => rows.all(`select pg_notify('sluice_changes', $1)`, [`${team.teamId} ${importId}`]);
/** Changes tasks from one ordinal to another, and tells of it. */
async function change(attempts: number, from = 0, to = TASKS - 1): Promise<void> {
  await rows.all('update tasks set attempts = $2 where import_id = $1 and ordinal between $3 and $4', [
    importId,
    attempts,
    from,
    to,
  ]);
  await tell();
}
async function endImport(): Promise<void> {
  await rows.all(
    `update tasks set status = 'READY', outcome = 'CREATED', finished_at = now(), waiting_for = null, fraction = 1
      where import_id = $1`,
    [importId],
  );
  await rows.all(`update imports set state = 'SUCCEEDED', finished_at = now(), counts = $2 where id = $1`, [
    importId,
    COUNTS,
  ]);
  await tell();
}
const NONE = { rejected: 0, uploading: 0, validating: 0, pending: 0, queued: 0, indexing: 0 };
const COUNTS = { ...NONE, ready: TASKS, skipped: 0, failed: 0, canceled: 0, bytesDone: 0, bytesTotal: 0 };

/** Waits until all transactions have ended that are open now, of other databases too. */
async function untilNobodyIsOlder(): Promise<void> {
  const { xid } = await rows.one<{ xid: string }>('select pg_current_xact_id()::text as xid');
  const isPast = `select pg_snapshot_xmin(pg_current_snapshot()) > $1::xid8 as past`;
  await waitFor(async () => (await rows.one<{ past: boolean }>(isPast, [xid])).past, {
    timeout: 60_000,
    what: 'the end of older transactions',
  });
}

const idsOf = ({ changed }: Known['events'][number]) => changed.map((task) => task.id);
const codeOf = (attempt: Promise<unknown>) => attempt.then(() => 'none', String);

describe.each(TRANSPORTS)('over %s', (transport) => {
  const watch = (options: Partial<FollowOptions> = {}) => follow(server, { transport, id, ...options });

  test('a snapshot of 250 tasks comes in three events, and goes on where it was broken off', async () => {
    const known = await watch({ until: () => true });
    expect(known.events.map(idsOf)).toEqual([ids.slice(0, 100)]);
    // What was told already changes before the rest is asked for.
    await change(3, 7, 7);
    const after = known.events[0]?.cursor ?? null;
    await watch({
      after,
      known,
      until: ({ tasks }) => tasks.size === TASKS && tasks.get(ids[7] ?? '')?.attempts === 3,
    });
    expect(known.events.slice(0, 3).map(idsOf)).toEqual([
      ids.slice(0, 100),
      ids.slice(100, 200),
      ids.slice(200),
    ]);
    // Others may be told once more, while any transaction of the whole cluster is open that is older than the snapshot.
    expect(known.events.slice(3).flatMap(idsOf)).toContain(ids[7]);
    // A client forgets what it knew when a snapshot begins: this one goes on.
    expect(known.events.map(({ snapshot }) => snapshot)).toEqual(known.events.map((_event, at) => at === 0));

    const rest = watch({ after: known.events.at(-1)?.cursor ?? null, known });
    await endImport();
    await expectAllKnown(rows, id, await rest);
    expect(known.events.length).toBeGreaterThanOrEqual(4 + 3);
  });

  test('250 changes at once come in events of at most 100, each task once', async () => {
    let changing: Promise<void> | undefined;
    const until = ({ events, tasks }: Known) => {
      if (events.length === 3) changing = change(2);
      return [...tasks.values()].every(({ attempts }) => attempts === 2);
    };
    const { events } = await watch({ until });
    await changing;
    const changes = events.slice(3);
    expect(changes.map(({ changed }) => changed.length)).toEqual([100, 100, 50]);
    expect(changes.flatMap(idsOf).sort()).toEqual([...ids].sort());
    // Who saw only the first of them is told all of the others.
    const [first] = changes;
    const known = nothing();
    for (const task of first?.changed ?? []) known.tasks.set(task.id, task);
    await watch({ after: first?.cursor ?? null, known, until: ({ tasks }) => tasks.size === TASKS });
    expect(known.events.every(({ snapshot }) => !snapshot)).toBe(true);
  });

  test("a cursor that is none, or another import's, or of another database, gets a fresh snapshot", async () => {
    const own = (await watch({ until: () => true })).events[0]?.cursor ?? '';
    const other = toPublicId('Import', await insertFinishedImport(rows, team, { tasks: 1, videos: 0 }));
    const strange = (await follow(server, { transport, id: other })).events[0]?.cursor ?? '';
    const [system, ...position] = JSON.parse(Buffer.from(own, 'base64url').toString());
    const encode = (parts: unknown) => Buffer.from(JSON.stringify(parts)).toString('base64url');
    const future = encode([system, position[0], '18446744073709551615', null]);
    const elsewhere = encode([`${system}1`, ...position]);
    for (const after of ['', 'nonsense', own.slice(0, -4), 'x'.repeat(10_000), strange, future, elsewhere]) {
      const { events } = await watch({ after, until: () => true });
      expect(events[0]).toMatchObject({ snapshot: true });
      expect(events.map(idsOf)).toEqual([ids.slice(0, 100)]);
    }
  });

  test('what a transaction commits that was open before the cursor is not missed, and nothing is told twice', async () => {
    const late = new pg.Client({ connectionString: server.databaseUrl });
    await late.connect();
    await late.query('begin');
    await late.query('update tasks set attempts = 5 where import_id = $1 and ordinal = 0', [importId]);
    const { import: found } = await server.query(CURSOR, { id });
    const seen: Known = nothing();
    const watching = watch({ known: seen, until: ({ tasks }) => tasks.get(ids[0] ?? '')?.attempts === 5 });
    await waitFor(() => seen.tasks.size === TASKS, { what: 'the snapshot' });
    for (const attempts of [2, 3]) {
      await change(attempts, 9, 9);
      await waitFor(() => seen.tasks.get(ids[9] ?? '')?.attempts === attempts, { what: 'the change' });
    }
    const cursor = seen.events.at(-1)?.cursor ?? null;
    await late.query('commit');
    await late.end();
    await tell();
    await watching;
    expect(seen.events.slice(3).map(idsOf)).toEqual([[ids[9]], [ids[9]], [ids[0]]]);
    for (const after of [found?.cursor ?? null, cursor]) {
      const known = await watch({ after, until: ({ tasks }) => tasks.has(ids[0] ?? '') });
      expect(known.events.every(({ snapshot }) => !snapshot)).toBe(true);
    }
  });

  test('an id that names nothing is told as NOT_FOUND', async () => {
    const taskId = ids[0] ?? '';
    for (const unknown of [toPublicId('Import', team.teamId), taskId, 'imp_nonsense', ''])
      expect(await codeOf(follow(server, { transport, id: unknown }))).toContain('NOT_FOUND');
    for (const unknown of [toPublicId('Task', team.teamId), id, 'nonsense'])
      expect(await codeOf(over(server, transport)(TASK_PROGRESS, { id: unknown }).next())).toContain(
        'NOT_FOUND',
      );
    expect(await codeOf(over(server, transport)(PROGRESS, { id }).next())).toBe('none');
  });

  test('nothing piles up for a reader that does not read: it gets the latest state of each task', async () => {
    const text = 'x'.repeat(8_000);
    await rows.all('update tasks set metadata = $2 where import_id = $1', [importId, { text }]);
    const query = `subscription { importProgress(id: "${id}") { changed { id status attempts metadata } } }`;
    const reader = await openSlowReader({ url: server.url, key: server.key, transport, query });
    const seen = nothing();
    const watching = watch({ known: seen });
    // Not for as long as a server waits for who does not read, on a busy machine.
    const rounds = 14;
    for (let round = 1; round <= rounds; round += 1) {
      const attempts = 1 + round;
      await change(attempts);
      await waitFor(
        () =>
          seen.tasks.size === TASKS && [...seen.tasks.values()].every((task) => task.attempts === attempts),
      );
    }
    await endImport();
    await expectAllKnown(rows, id, await watching);
    const { events, bytes } = await reader.readOn();
    // Every round once for every task would be 28 MB; what the kernel keeps for a connection is a few.
    expect(bytes).toBeLessThan(rounds * TASKS * text.length * 0.75);
    type Slow = {
      readonly importProgress: {
        readonly changed: readonly { readonly id: string; readonly status: string }[];
      };
    };
    const last = new Map(
      (events as Slow[])
        .flatMap(({ importProgress }) => importProgress.changed)
        .map((task) => [task.id, task]),
    );
    expect([...last.keys()].sort()).toEqual([...ids].sort());
    expect([...last.values()].every((task) => task.status === 'READY')).toBe(true);
  });
});

test('more than 10,000 changes at once are told as a fresh snapshot, to who resumes and to who is there', async () => {
  const tasks = 10_050;
  await openImport(tasks);
  const { import: found } = await server.query(CURSOR, { id });
  const seen: Known = nothing();
  // Without tasks a snapshot is one event.
  const watching = follow(server, {
    transport: 'WebSocket',
    id,
    tasks: false,
    known: seen,
    until: ({ events }) => events.filter(({ snapshot }) => snapshot).length === 2,
  });
  await waitFor(() => seen.events.length === 1, { what: 'the snapshot' });
  await change(2, 0, tasks);
  await watching;

  const first = async (after: string | null) => {
    const { events } = await follow(server, {
      transport: 'server-sent events',
      id,
      after,
      until: () => true,
    });
    return events[0];
  };
  const anew = await first(found?.cursor ?? null);
  expect(anew).toMatchObject({ snapshot: true });
  expect(anew?.changed).toHaveLength(100);
  // Fewer are told one by one. A cursor goes back as far as any transaction of the whole cluster is open.
  await untilNobodyIsOlder();
  const whole = await follow(server, { transport: 'WebSocket', id, tasks: false, until: () => true });
  const cursor = whole.events[0]?.cursor ?? null;
  await change(3, 0, 5);
  expect(await first(cursor)).toMatchObject({ snapshot: false });
});
