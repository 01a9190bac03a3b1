import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../db/client.ts';
import type { Hub } from '../events/hub.ts';
import { createBell } from './bell.ts';
import { type Cursors, teamTasks } from './cursors.ts';
import { checkWatchedFilter } from './filters.ts';
import { createSharedReads } from './shared-reads.ts';
import {
  type FeedPage,
  type FeedPageOptions,
  type FeedSubject,
  PAGE,
  readFeedPage,
  readFeedStart,
} from './task-feed-reads.ts';
import { whenConnected } from './when-connected.ts';

/** One event of a feed: which tasks it is about; their latest state is read when it is sent. */
export interface TaskFeedEvent {
  readonly subject: FeedSubject;
  readonly cursor: string;
  readonly changedIds: readonly string[];
  /** Tasks that were deleted, or do not match any more. */
  readonly removedIds: readonly string[];
}

/** What a feed is asked for. */
export interface TaskFeedOptions extends FeedSubject {
  readonly after: string | null;
  readonly signal: AbortSignal;
}

/** Tells of changes of the tasks of teams. */
export interface TaskFeeds {
  /**
   * Every change of the tasks that match, from now on or from a cursor; never ends by itself. It begins with an event that
   * says nothing but its cursor, unless it goes on from one: then there is no such event.
   * @throws {BadFilterError}
   */
  follow(options: TaskFeedOptions): AsyncGenerator<TaskFeedEvent>;
}

/** A subscriber looks for changes at most this often. */
const TICK_MS = 100;

interface FeedDeps {
  readonly db: Database;
  readonly hub: Hub;
  readonly cursors: Cursors;
}

type ReadPage = (options: FeedPageOptions) => Promise<FeedPage>;

interface FollowOptions extends Pick<TaskFeedOptions, 'after' | 'signal'> {
  readonly subject: FeedSubject;
  readonly read: ReadPage;
}

/** Makes feeds; those of the same team and filter that stand at the same place read together. */
export function createTaskFeeds(deps: FeedDeps): TaskFeeds {
  const shared = createSharedReads<FeedPage>();
  return {
    follow({ teamId, filter, after, signal }) {
      const subject = { teamId, filter };
      checkWatchedFilter(filter);
      const key = JSON.stringify(subject);
      const read: ReadPage = (options) =>
        whenConnected(
          () => shared(`${key} ${JSON.stringify(options)}`, () => readFeedPage(deps.db, subject, options)),
          signal,
        );
      return follow(deps, { subject, after, signal, read });
    },
  };
}

/**
 * Nothing is queued for a subscriber, as in importProgress: it listens first, reads then, and asks for what has changed when it is
 * ready for more. Between two looks it keeps a snapshot of the database, and of running tasks what was told.
 */
async function* follow(
  { db, hub, cursors }: FeedDeps,
  { subject, read, after, signal }: FollowOptions,
): AsyncGenerator<TaskFeedEvent> {
  const bell = createBell(signal);
  const unsubscribe = hub.onTeam(subject.teamId, bell.ring);
  try {
    const toEvent: ToEvent = (xmin, changedIds, removedIds) => {
      const cursor = cursors.encode(teamTasks(subject.teamId), { xmin, ordinal: null });
      return { subject, cursor, changedIds, removedIds };
    };
    const given = after === null ? null : cursors.decode(teamTasks(subject.teamId), after);
    const start = await whenConnected(() => readFeedStart(db, subject, given?.xmin ?? null), signal);
    const now = xminOf(start.now);
    // A cursor from the future is none of ours.
    const goesOn = given !== null && !start.isTooOld && BigInt(given.xmin) <= BigInt(now);
    if (!goesOn) yield toEvent(now, [], []);
    let from = goesOn ? `${given.xmin}:${given.xmin}:` : start.now;
    const told = new Map(goesOn ? [] : Object.entries(start.running));
    for (;;) {
      bell.clear();
      from = yield* tellChanges(read, { from, told, toEvent });
      await Promise.all([bell.wait(), untilTick(signal)]);
    }
  } finally {
    unsubscribe();
  }
}

/** The oldest transaction that was open in a snapshot: whoever reads from there on misses nothing that it did not see. */
const xminOf = (snapshot: string): string => snapshot.slice(0, snapshot.indexOf(':'));

/** All ticks are the same for all, so that they read together. */
const untilTick = (signal: AbortSignal) => sleep(TICK_MS - (Date.now() % TICK_MS), undefined, { signal });

type ToEvent = (xmin: string, changedIds: readonly string[], removedIds: readonly string[]) => TaskFeedEvent;

interface Pass {
  readonly from: string;
  /** Of running tasks the version of the progress that was told last. */
  readonly told: Map<string, string>;
  readonly toEvent: ToEvent;
}

/** Everything that has changed since a snapshot, page by page. @returns the snapshot of now */
async function* tellChanges(
  read: ReadPage,
  { from, told, toEvent }: Pass,
): AsyncGenerator<TaskFeedEvent, string> {
  let page = await read({ from, to: null, after: null });
  const { to, running } = page;
  const moved = takeMoved(told, running);
  for (;;) {
    const last = page.rows.at(-1);
    const isLast = last === undefined || page.rows.length < PAGE;
    const changedIds = page.rows.filter(([, , isMatch]) => isMatch).map(([, id]) => id);
    for (const id of changedIds) moved.delete(id);
    if (isLast) changedIds.push(...take(moved, PAGE - changedIds.length));
    const removedIds = page.rows.filter(([, , isMatch]) => !isMatch).map(([, id]) => id);
    const xmin = isLast ? xminOf(to) : earlier(xminOf(to), last[0]);
    if (changedIds.length + removedIds.length > 0) yield toEvent(xmin, changedIds, removedIds);
    if (isLast) break;
    page = await read({ from, to, after: [last[0], last[1]] });
  }
  // Who comes back is told of all running tasks anyhow.
  while (moved.size > 0) yield toEvent(xminOf(to), take(moved, PAGE), []);
  return to;
}

/** Pages come in the order of transactions: all before the last row's have been told, of those that the snapshot saw. */
const earlier = (one: string, other: string) => (BigInt(one) < BigInt(other) ? one : other);

/** The running tasks whose progress was not told yet; it counts as told from now on. */
function takeMoved(told: Map<string, string>, running: FeedPage['running']): Set<string> {
  const now = Object.entries(running);
  const moved = new Set(now.filter(([id, version]) => told.get(id) !== version).map(([id]) => id));
  told.clear();
  for (const [id, version] of now) told.set(id, version);
  return moved;
}

function take(ids: Set<string>, count: number): string[] {
  const taken = [...ids].slice(0, count);
  for (const id of taken) ids.delete(id);
  return taken;
}
