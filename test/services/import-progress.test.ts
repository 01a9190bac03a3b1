import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDatabase, type DatabaseClient } from '../../src/db/client.ts';
import { createCursors } from '../../src/services/cursors.ts';
import type { ImportEvent } from '../../src/services/import-event.ts';
import { createImportFeeds } from '../../src/services/import-feed.ts';
import type { Follower } from '../../src/services/import-follower.ts';
import { importProgress, type ProgressDeps } from '../../src/services/import-progress.ts';
import { createImportSnapshots } from '../../src/services/import-snapshots.ts';
import { log } from '../jobs/support.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { insertFinishedImport, insertTeam, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { waitFor } from '../support/wait.ts';

let database: TestDatabase;
let client: DatabaseClient;
let rows: Rows;
let team: TeamRows;
let deps: ProgressDeps;
/** Tells feeds that something has changed. */
let ring: () => void;
/** What subscribers have to wait for who look what has changed since their snapshot. */
let gate: Promise<void>;
/** How many wait there, or have passed it, and how many follow the feed. */
let [looking, following] = [0, 0];

beforeAll(async () => {
  database = await createTestDatabase();
  client = createDatabase({ url: database.url, log, applicationName: 'test' });
  rows = await openRows(database.url);
  team = await insertTeam(rows, 'watchers');
});

beforeEach(async () => {
  const bells = new Set<() => void>();
  ring = () => {
    for (const bell of bells) bell();
  };
  const onImport = (_id: string, bell: () => void) => {
    bells.add(bell);
    return () => bells.delete(bell);
  };
  const hub = { onImport, onLooseTasks: onImport, onTeam: onImport, stop() {} };
  const cursors = await createCursors(client.db);
  const db = client.db;
  const feeds = createImportFeeds({ db, hub, cursors });
  deps = {
    db,
    cursors,
    feeds: {
      subscribers: 0,
      enter: feeds.enter,
      join: async (...args) => watched(await feeds.join(...args)),
    },
    snapshots: createImportSnapshots({ db, cursors }),
  };
  gate = Promise.resolve();
  [looking, following] = [0, 0];
});

const watched = (follower: Follower): Follower => ({
  get xmin() {
    return follower.xmin;
  },
  async since(xmin) {
    looking += 1;
    await gate;
    return await follower.since(xmin);
  },
  follow(options) {
    following += 1;
    follower.follow(options);
  },
  take: follower.take,
  changed: follower.changed,
  leave: follower.leave,
});

afterAll(async () => {
  await rows?.close();
  await client?.close();
  await database?.drop();
});

/** What an event says: for all whom it goes to, as it was when it was executed first. */
const said = new WeakMap<ImportEvent, Promise<ReadonlyMap<string, string>>>();

const execute = ({ importId, changedIds }: ImportEvent) =>
  rows
    .all<{ id: string; state: string }>(
      `select id, attempts::text as state from tasks where id = any($1)
        union all select id, found || ' ' || state from imports where id = $2`,
      [changedIds, importId],
    )
    .then((all) => new Map(all.map(({ id, state }) => [id, state])));

/** A client: what it has been told last of each row. */
function watch(importId: string) {
  const abort = new AbortController();
  const events = importProgress(deps, { importId, after: null, tasks: true, signal: abort.signal });
  const known = new Map<string, string>();
  return {
    known,
    abort,
    async next(): Promise<ImportEvent | null> {
      const { value, done } = await events.next();
      if (done) return null;
      const result = (value.shared && said.get(value)) || execute(value);
      if (value.shared) said.set(value, result);
      for (const [id, state] of await result) known.set(id, state);
      for (const id of value.deletedIds) known.delete(id);
      return value;
    },
  };
}

/** Holds whoever comes next up before it looks for changes. @returns ends that */
function closeGate(): () => void {
  let open = () => {};
  gate = new Promise((resolve) => {
    open = resolve;
  });
  return open;
}

async function insertRunningImport(tasks: number): Promise<string> {
  const importId = await insertFinishedImport(rows, team, { tasks, videos: 0 });
  await rows.all(`update imports set state = 'STARTED', finished_at = null, counts = null where id = $1`, [
    importId,
  ]);
  return importId;
}

test('what was told as it is now is not followed by what was told to others before', async () => {
  const importId = await insertRunningImport(2);
  const [{ id } = { id: '' }] = await rows.all<{ id: string }>(
    'select id from tasks where import_id = $1 and ordinal = 0',
    [importId],
  );
  const change = (n: number) =>
    rows.all(
      `with changed as (update imports set found = $2::int where id = $1)
       update tasks set attempts = $2::int where id = $3`,
      [importId, n, id],
    );
  const first = watch(importId);
  const second = watch(importId);
  await first.next();
  let next = first.next();
  await waitFor(() => following === 1);
  await change(2);
  ring();
  await next;
  next = first.next();

  await second.next();
  const open = closeGate();
  const late = second.next();
  await waitFor(() => looking === 2);
  await change(3);
  ring();
  await next;
  await change(4);
  open();
  await late;
  expect([second.known.get(id), second.known.get(importId)]).toEqual(['4', '4 STARTED']);
  let further = second.next();
  // Time for an event that is there already to be taken, before another look finds that there is more.
  await rows.all('select pg_sleep(0.05)');
  next = first.next();
  ring();
  await next;
  next = first.next();
  await rows.all(
    `update imports set state = 'SUCCEEDED', found = 5, finished_at = now(), counts = '{}' where id = $1`,
    [importId],
  );
  ring();
  for (; (await further) !== null; further = second.next()) expect(second.known.get(id)).toBe('4');
  while ((await next) !== null) next = first.next();
  expect(second.known).toEqual(first.known);
});

test('no page of a snapshot says less of the import than the one before it', async () => {
  const importId = await insertRunningImport(250);
  const begun = [watch(importId), watch(importId)] as const;
  const [ahead, behind] = begun;
  const [first] = await Promise.all(begun.map((client) => client.next()));
  await ahead.next();
  const last = await ahead.next();
  // The second page is forgotten, the third is not.
  const base = { xmin: '0', at: 0 };
  const rounds = Array.from({ length: 7 }, (_, n) => n);
  const touch = () => deps.snapshots.page(pageOf(199));
  const xmin = deps.cursors.decode(importId, first?.cursor ?? '')?.xmin ?? '';
  const pageOf = (after: number) => ({ importId, base: { xmin, at: 0 }, tasks: true, begins: true, after });
  for (const round of rounds) {
    // At once, for a page is kept for some seconds only.
    const ten = Array.from({ length: 10 }, (_, n) => pageOf(1_000 + 10 * round + n));
    await Promise.all(ten.map((page) => deps.snapshots.page({ ...page, base })));
    expect((await touch()).event).toBe(last);
  }
  await rows.all('update imports set found = 7 where id = $1', [importId]);
  await behind.next();
  expect(behind.known.get(importId)).toBe('7 STARTED');
  await behind.next();
  expect(behind.known.get(importId)).toBe('7 STARTED');
  for (const { abort } of begun) abort.abort();
});

test('who follows keeps nothing of what it was told before', async () => {
  setFlagsFromString('--expose-gc');
  // What a context that is made now has by the name of the flag.
  const collectGarbage = runInNewContext('gc') as () => void;
  const importId = await insertRunningImport(1);
  const change = () => rows.all('update tasks set attempts = attempts + 1 where import_id = $1', [importId]);
  const only = watch(importId);
  await only.next();
  await change();
  const missed = new WeakRef((await only.next()) ?? {});
  let next = only.next();
  await waitFor(() => following === 1);
  await change();
  ring();
  await next;
  next = only.next();
  await waitFor(() => {
    collectGarbage();
    return missed.deref() === undefined;
  });
  await rows.all(`update imports set state = 'SUCCEEDED', finished_at = now(), counts = '{}' where id = $1`, [
    importId,
  ]);
  ring();
  while ((await next) !== null) next = only.next();
});
