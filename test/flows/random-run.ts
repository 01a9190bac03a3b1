import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import { toPublicId } from '../../src/services/public-ids.ts';
import { createTestClient, type TestClient } from '../support/client.ts';
import { graphql, type ResultOf, type VariablesOf } from '../support/graphql.ts';
import { waitFor } from '../support/wait.ts';
import { TRANSPORTS, type Transport } from './live.ts';
import { type Visit, visit } from './random-subscribers.ts';
import {
  CANARY,
  type Change,
  endPlayedImport,
  insertPlayedImport,
  type PlayedImport,
  playChanges,
  removePlayedImport,
  type Site,
  storedStates,
  type TaskState,
} from './random-world.ts';

const PROGRESS = graphql(`
  subscription RandomImport($id: ID!, $after: String) {
    importProgress(id: $id, after: $after) {
      cursor snapshot import { finished }
      changed { id name status attempts progress { fraction } }
      rejected { id name }
      deletedTaskIds
    }
  }
`);
const FEED = graphql(`
  subscription RandomFeed($filter: TaskFilter, $after: String) {
    tasksChanged(filter: $filter, after: $after) {
      cursor changed { id name status attempts progress { fraction } } removedIds
    }
  }
`);
const TASK = graphql(`
  subscription RandomTask($id: ID!) {
    taskProgress(id: $id) { task { id name status attempts progress { fraction } } }
  }
`);
const LIST = graphql(`
  query RandomList($filter: TaskFilter, $after: String) {
    tasks(first: 50, after: $after, filter: $filter, orderBy: { field: CREATED_AT, direction: ASC }) {
      nodes { id name status attempts progress { fraction } }
      pageInfo { hasNextPage endCursor }
    }
  }
`);
type Task = ResultOf<typeof TASK>['taskProgress']['task'];
type Filter = NonNullable<VariablesOf<typeof FEED>['filter']> | null;

/** What happens in a run. */
export interface RandomRun {
  readonly tasks: number;
  /** Of several who write at once. */
  readonly writers: readonly (readonly Change[])[];
  /** Of each subscriber. */
  readonly visits: readonly (readonly Visit[])[];
  /** The connections for notifications. */
  readonly fault: 'none' | 'killed' | 'silent';
  readonly faultMs: number;
}

const END_MS = 60_000;

/** What a subscriber knows, and has been told. */
class Knowledge {
  readonly tasks = new Map<string, Task>();
  /** Everything in which another team must not appear. */
  #isClean = true;
  readonly #latest = new Map<string, Task>();

  take(tasks: readonly Task[]): void {
    for (const task of tasks) {
      if (task.name === CANARY) this.#isClean = false;
      const before = this.#latest.get(task.id);
      if (before !== undefined && before.attempts === task.attempts)
        expect(task.progress.fraction, `of ${task.id}, ${before.status}`).toBeGreaterThanOrEqual(
          before.progress.fraction,
        );
      if (before !== undefined) expect(task.attempts).toBeGreaterThanOrEqual(before.attempts);
      this.#latest.set(task.id, task);
      this.tasks.set(task.id, task);
    }
  }

  /** A list, which may be newer than events that are on their way: those are no step back from it. */
  replace(tasks: readonly Task[]): void {
    this.tasks.clear();
    for (const task of tasks) {
      if (task.name === CANARY) this.#isClean = false;
      this.tasks.set(task.id, task);
    }
  }

  remove(ids: readonly string[]): void {
    for (const id of ids) this.tasks.delete(id);
  }

  /** What it knows by now; throws if it ever knew anything of another team. */
  states(): Record<string, TaskState> {
    expect(this.#isClean).toBe(true);
    return Object.fromEntries(
      [...this.tasks.values()].map(({ id, status, attempts, progress }) => [
        id,
        { status, attempts, fraction: progress.fraction },
      ]),
    );
  }
}

interface Subscriber {
  /** Until the subscription completes, or is told to stop. */
  readonly ended: Promise<unknown>;
  /** Holds what it knows in the end to what is stored. */
  check(): Promise<void>;
}

interface Place {
  readonly site: Site;
  readonly watched: PlayedImport;
  readonly canary: PlayedImport;
  readonly client: TestClient;
  readonly signal: AbortSignal;
}

interface Going {
  readonly transport: Transport;
  readonly visits: readonly Visit[];
}

/** Follows the import; it is over when that is. */
function followImport({ site, watched, signal }: Place, { transport, visits }: Going): Subscriber {
  const known = new Knowledge();
  const rejected = new Set<string>();
  let [after, isFirst, finished]: [string | null, boolean, boolean] = [null, true, false];
  const ended = visit({
    ...site,
    transport,
    visits,
    signal,
    document: PROGRESS,
    variables: () => ({ id: toPublicId('Import', watched.importId), after }),
    onVisit: () => {
      isFirst = true;
    },
    onEvent: ({ importProgress: event }) => {
      if (event.snapshot && isFirst) {
        known.tasks.clear();
        rejected.clear();
      }
      isFirst = false;
      known.take(event.changed);
      known.remove(event.deletedTaskIds);
      for (const file of event.rejected) {
        expect(file.name).not.toBe(CANARY);
        rejected.add(file.id);
      }
      ({ cursor: after } = event);
      finished = event.import.finished;
    },
  });
  return {
    ended,
    async check() {
      expect(await ended).toBe(true);
      expect(finished).toBe(true);
      expect(known.states()).toEqual(await storedStates(site, watched.importId));
      const files = await site.rows.all<{ id: string }>('select id from failed_files where import_id = $1', [
        watched.importId,
      ]);
      expect([...rejected].sort()).toEqual(files.map(({ id }) => toPublicId('FailedFile', id)).sort());
    },
  };
}

async function listAll(client: TestClient, filter: Filter): Promise<readonly Task[]> {
  const found: Task[] = [];
  for (let after: string | null = null; ; ) {
    const { tasks: page }: ResultOf<typeof LIST> = await client.query(LIST, { filter, after });
    found.push(...page.nodes);
    if (!page.pageInfo.hasNextPage) return found;
    after = page.pageInfo.endCursor;
  }
}

/** Follows what matches a filter, and reads the list as it is told to: after an event that says nothing but its cursor. */
function followFeed(
  { site, client, signal, canary }: Place,
  { transport, visits, filter }: Going & { readonly filter: Filter },
): Subscriber {
  const known = new Knowledge();
  const removed = new Set<string>();
  let after: string | null = null;
  const ended = visit({
    ...site,
    transport,
    visits,
    signal,
    document: FEED,
    variables: () => ({ filter, after }),
    onEvent: async ({ tasksChanged: { cursor, changed, removedIds } }) => {
      if (changed.length + removedIds.length === 0) known.replace(await listAll(client, filter));
      known.take(changed);
      known.remove(removedIds);
      for (const id of removedIds) removed.add(id);
      after = cursor;
    },
  });
  return {
    ended,
    async check() {
      const list = new Knowledge();
      list.replace(await listAll(client, filter));
      const isSame = () => isDeepStrictEqual(known.states(), list.states());
      const same = waitFor(isSame, { timeout: END_MS }).catch(() => {});
      // It never completes: if it ends, it has failed.
      await Promise.race([ended, same]);
      expect(known.states()).toEqual(list.states());
      const theirs = await site.rows.all<{ id: string }>(
        'select id from tasks where team_id = $1 union all select id from deleted_tasks where team_id = $1',
        [canary.teamId],
      );
      expect(theirs.filter(({ id }) => removed.has(toPublicId('Task', id)))).toEqual([]);
    },
  };
}

/** Follows one task, to its end. */
function followTask(
  { site, watched, signal }: Place,
  { transport, visits, taskId }: Going & { readonly taskId: string },
): Subscriber {
  const known = new Knowledge();
  // Whoever comes to a task that was deleted meanwhile is told that there is none.
  const isGone = (error: unknown) => String(error).includes('NOT_FOUND');
  const ended = visit({
    ...site,
    transport,
    visits,
    signal,
    document: TASK,
    variables: () => ({ id: taskId }),
    onEvent: ({ taskProgress: { task } }) => known.take([task]),
  }).catch((error: unknown) => isGone(error) || Promise.reject(error));
  return {
    ended,
    async check() {
      expect(await ended).toBe(true);
      const stored = (await storedStates(site, watched.importId))[taskId];
      if (stored !== undefined) expect(known.states()).toEqual({ [taskId]: stored });
    },
  };
}

/** How many subscribers there are in a run. */
export const SUBSCRIBERS = 10;

function subscribeAll(place: Place, taskIds: readonly string[], visits: RandomRun['visits']): Subscriber[] {
  const { watched } = place;
  const filters: readonly Filter[] = [
    null,
    { status: ['UPLOADING', 'VALIDATING'] },
    { importId: toPublicId('Import', watched.importId), status: ['READY'] },
  ];
  return TRANSPORTS.flatMap((transport, side) => {
    const going = (at: number) => ({ transport, visits: visits[side * 5 + at] ?? [] });
    return [
      followImport(place, going(0)),
      ...filters.map((filter, at) => followFeed(place, { ...going(1 + at), filter })),
      followTask(place, { ...going(4), taskId: taskIds[side] ?? '' }),
    ];
  });
}

async function spoil({ rows, listen }: Site, { fault, faultMs }: RandomRun): Promise<void> {
  await sleep(faultMs);
  if (fault === 'silent') listen.freeze();
  if (fault === 'killed')
    await rows.all(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'sluice listen'`,
    );
}

/** One run, from the start of two imports to their end; throws when anybody ends with anything but what is stored. */
export async function playRandomRun(site: Site, run: RandomRun): Promise<void> {
  const { tasks, writers, visits } = run;
  const watched = await insertPlayedImport(site, site.team, { tasks, name: 'watched' });
  const canary = await insertPlayedImport(site, site.canary, { tasks, name: CANARY });
  const controller = new AbortController();
  // Every visit listens.
  setMaxListeners(0, controller.signal);
  const client = createTestClient({ url: site.urls[0] ?? '', key: site.key });
  const place: Place = { site, watched, canary, client, signal: controller.signal };
  const taskIds = Object.keys(await storedStates(site, watched.importId));
  const subscribers = subscribeAll(place, taskIds, visits);
  // A subscriber that fails is looked at in the end.
  for (const { ended } of subscribers) ended.catch(() => {});
  try {
    await Promise.all([
      spoil(site, run),
      ...writers.map((changes) => playChanges(site, changes, { watched, canary })),
    ]);
    await endPlayedImport(site, watched);
    const late = sleep(END_MS, undefined, { signal: controller.signal }).then(
      () => controller.abort(),
      () => {},
    );
    for (const { check } of subscribers) await check();
    controller.abort();
    await late;
  } finally {
    controller.abort();
    site.listen.thaw();
    await Promise.allSettled(subscribers.map(({ ended }) => ended));
    await endPlayedImport(site, canary);
    for (const played of [watched, canary]) await removePlayedImport(site, played);
  }
}
