import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { graphql } from '../support/graphql.ts';
import { type PacedOrigin, startPacedOrigin } from '../support/paced-origin.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { makeContents } from './file-origin.ts';
import {
  type Event,
  expectAllKnown,
  expectNoStepBack,
  follow,
  nothing,
  over,
  storedTasks,
  TASK_PROGRESS,
  TRANSPORTS,
} from './live.ts';
import { createImporter, type Importer } from './url-imports.ts';

const CURSOR = graphql(`
  query LiveCursor($id: ID!) {
    import(id: $id) { cursor tasks(first: 50) { nodes { id status outcome attempts progress { fraction } } } }
  }
`);
const NAMES = ['a', 'b', 'c'];
/** Bytes a second: each video takes about one second. */
const RATE = 800_000;
/** So slow that it goes on for as long as a busy machine takes to show what is looked for. */
const CRAWL = 20_000;

let origin: PacedOrigin;
let server: TestServer;
let rows: Rows;
let importer: Importer;
let imports = 0;

beforeAll(async () => {
  const freshContent = await makeContents();
  const files = new Map(NAMES.map((name) => [name, freshContent()]));
  origin = await startPacedOrigin(files, RATE);
  server = await startTestServer({ SLUICE_PLAN_SECONDS: '20' });
  importer = createImporter(server);
  rows = await openRows(server.databaseUrl);
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
  await origin?.close();
});

/** Starts to import three videos, and one that is not there. @returns its id */
async function start(rate = RATE): Promise<string> {
  origin.rate = rate;
  imports += 1;
  const videos = [...NAMES, 'missing'].map((name) => ({ externalId: name, url: origin.url(name) }));
  const state = await importer.start({ systemName: `live-${imports}`, videos, incremental: false });
  return state.id;
}

describe.each(TRANSPORTS)('over %s', (transport) => {
  test('first where things stand, then each change, then the end; also for who comes late, or after it', async () => {
    const id = await start(CRAWL * 4);
    const isOnItsWay = ({ progress: { fraction } }: { readonly progress: { readonly fraction: number } }) =>
      fraction > 0.05 && fraction < 0.85;
    let late: Promise<unknown> | undefined;
    const [first, alone] = await Promise.all([
      follow(server, {
        transport,
        id,
        until: (known) => {
          const isUnderWay = [...known.tasks.values()].some(({ progress }) => progress.fraction > 0.1);
          if (isUnderWay && late === undefined)
            late = follow(server, { transport, id }).then((other) => {
              expect(other.events[0]?.snapshot).toBe(true);
              expect(other.events[0]?.changed).toHaveLength(3);
              return expectAllKnown(rows, id, other);
            });
          // Progress, and not only the ends.
          const told = known.events.slice(1).flatMap(({ changed }) => changed.filter(isOnItsWay));
          if (late !== undefined && told.length > 5) origin.rate = RATE;
          return false;
        },
      }),
      follow(server, { transport, id, tasks: false }),
    ]);
    const [snapshot, ...changes] = first.events;
    expect(snapshot).toMatchObject({ snapshot: true, import: { state: 'STARTED', finished: false } });
    expect(snapshot?.changed).toHaveLength(3);
    expect(changes.every((event) => !event.snapshot)).toBe(true);
    expect(changes.flatMap(({ changed }) => changed.filter(isOnItsWay)).length).toBeGreaterThan(5);
    expect(first.rejected).toEqual(['missing']);
    expect(first.events.at(-1)?.import).toMatchObject({
      state: 'SUCCEEDED',
      counts: { ready: 3, rejected: 1 },
    });
    await expectAllKnown(rows, id, first);
    expect(late).toBeDefined();
    await late;

    expect(alone.complete).toBe(true);
    expect(alone.events.flatMap(({ changed, rejected }) => [...changed, ...rejected])).toEqual([]);
    expect(alone.events.at(-1)?.import.finished).toBe(true);

    const after = await follow(server, { transport, id });
    expect(after.events).toHaveLength(1);
    expect(after.events[0]).toMatchObject({ snapshot: true, import: { state: 'SUCCEEDED' } });
    expect(after.rejected).toEqual(['missing']);
    await expectAllKnown(rows, id, after);
  });

  test('who goes away after each event and comes back with its cursor misses nothing', async () => {
    const id = await start(CRAWL);
    const known = nothing();
    let visits = 0;
    for (; !known.complete; visits += 1) {
      if (visits > 5) origin.rate = RATE;
      const after = known.events.at(-1)?.cursor ?? null;
      await follow(server, { transport, id, after, known, until: (_, event) => !event.import.finished });
    }
    expect(visits).toBeGreaterThan(5);
    expect(known.events.slice(1).every(({ snapshot }) => !snapshot)).toBe(true);
    // Again to who comes back while any transaction of the whole cluster is open that is older.
    expect([...new Set(known.rejected)]).toEqual(['missing']);
    await expectAllKnown(rows, id, known);
  });

  test('who goes on from Import.cursor misses nothing of what follows the answer', async () => {
    const id = await start();
    await importer.until(id, ({ progress }) => progress.bytesDone > 0);
    const { import: found } = await server.query(CURSOR, { id });
    const known = nothing();
    for (const task of found?.tasks.nodes ?? []) known.tasks.set(task.id, task);
    expect(known.tasks.size).toBe(3);
    await follow(server, { transport, id, after: found?.cursor ?? null, known });
    expect(known.events.every(({ snapshot }) => !snapshot)).toBe(true);
    await expectAllKnown(rows, id, known);
    // The end is told also to who comes with a cursor after it.
    const end = await follow(server, { transport, id, after: known.events.at(-1)?.cursor ?? null });
    expect(end).toMatchObject({ complete: true, events: [{ snapshot: false, import: { finished: true } }] });
  });

  test('one task: where it stands, each change, its end; and its end alone when it has ended', async () => {
    const id = await start(CRAWL);
    const [taskId = ''] = (await storedTasks(rows, id)).keys();
    const states: Event['changed'][number][] = [];
    const figures = () => new Set(states.map(({ progress }) => progress.fraction)).size;
    for await (const { taskProgress } of over(server, transport)(TASK_PROGRESS, { id: taskId })) {
      expectNoStepBack(states.at(-1), taskProgress.task);
      states.push(taskProgress.task);
      if (figures() > 3) origin.rate = RATE;
    }
    expect(states.every((task) => task.id === taskId)).toBe(true);
    expect(figures()).toBeGreaterThan(3);
    const end = (await storedTasks(rows, id)).get(taskId);
    expect(end).toMatchObject({ status: 'READY', outcome: 'CREATED', progress: { fraction: 1 } });
    expect(states.at(-1)).toEqual(end);
    const again = [];
    for await (const event of over(server, transport)(TASK_PROGRESS, { id: taskId })) again.push(event);
    expect(again).toEqual([{ taskProgress: { task: end } }]);
    await importer.end(id);
  });

  test('the connection for notifications is cut in the middle: the end is told all the same', async () => {
    const id = await start(CRAWL);
    const cut = async () => {
      const killed = await rows.all(`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'sluice listen'`);
      expect(killed).toHaveLength(1);
      origin.rate = RATE;
    };
    let cutting: Promise<void> | undefined;
    const known = await follow(server, {
      transport,
      id,
      until: () => {
        cutting ??= cut();
        return false;
      },
    });
    await cutting;
    await expectAllKnown(rows, id, known);
    const ready = async () => (await fetch(`${server.url}/health/ready`)).ok;
    await waitFor(ready, { what: 'the connection for notifications' });
  });
});
