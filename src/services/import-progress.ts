import { createHash } from 'node:crypto';
import type { Position } from './cursors.ts';
import { EVENT_SIZE, type FoundChange, type ImportChanges, readMoment } from './import-changes.ts';
import { type ImportEvent, toEvent } from './import-event.ts';
import type { ImportFeeds } from './import-feed.ts';
import type { FeedDeps } from './import-follower.ts';
import type { ImportSnapshots, SnapshotBase } from './import-snapshots.ts';
import { whenConnected } from './when-connected.ts';

export interface ProgressDeps extends Pick<FeedDeps, 'db' | 'cursors'> {
  readonly feeds: ImportFeeds;
  readonly snapshots: ImportSnapshots;
}

export interface ImportProgressOptions {
  readonly importId: string;
  readonly after: string | null;
  /** false: the import alone, without its tasks and rejected files. */
  readonly tasks: boolean;
  readonly signal: AbortSignal;
}

/**
 * An import as it goes: where things stand, then each change, then the end. Nothing is queued for a subscriber: it reads where
 * things stand page by page, then what has changed meanwhile, and then follows the import's feed, each when it is ready for
 * more, so that a slow one gets the latest state of each task, and none costs more memory than an event. Whoever comes at the same
 * time as others reads with them.
 *
 * It takes its place in the feed first and reads then, so that there is no gap; and it asks for what transactions changed that
 * were not older than the last position's oldest open one, so that a late commit is not missed.
 */
export async function* importProgress(
  deps: ProgressDeps,
  options: ImportProgressOptions,
): AsyncGenerator<ImportEvent> {
  const { importId, signal } = options;
  const end = deps.feeds.enter();
  try {
    // More than is worth telling one by one may have changed: then all is told anew.
    for (let { after } = options, isTold = false; !isTold; after = null) {
      const start = await whenConnected(() => startPosition(deps, { importId, after }), signal);
      const { isOver, version } = start;
      let told: Told = new Map(version === null ? [] : [[importId, version]]);
      if (start.ordinal !== null) yield* tellSnapshot(deps, options, { start, told });
      // All was over before anything was read: the snapshot has told the end.
      if (isOver && start.ordinal === -1) return;
      isTold = true;
      for (let { xmin } = start; isTold; told = new Map()) {
        const follower = await deps.feeds.join(importId, signal);
        try {
          const from = xmin;
          let changes = await whenConnected(() => follower.since(from), signal);
          if (changes === null) return;
          isTold = !changes.isTooMuch;
          if (!isTold) break;
          yield* tellChanges(deps, options, { changes, from, told });
          if (changes.finished) return;
          follower.follow({ tasks: options.tasks, told: versionsOf(importId, changes) });
          // What all who read it have been told hangs on it: a generator keeps what its variables hold for as long as it lives.
          changes = null;
          told.clear();
          // In here, and not in a generator of its own: each of those costs every subscriber some time for every event.
          for (let isFirst = true; ; ) {
            const event = follower.take();
            // A feed that was over before it was followed was over before the import was opened again.
            if (event === 'OVER' && !isFirst) return;
            if (event === 'OVER' || event === 'LOST') break;
            if (event === null) await follower.changed();
            else {
              isFirst = false;
              yield event;
            }
          }
          ({ xmin } = follower);
        } finally {
          follower.leave();
        }
      }
    }
  } finally {
    end();
  }
}

/** The versions that a subscriber has been told of, by id, and that of the import's own row. */
type Told = Map<string, string>;

interface Start extends Position, SnapshotBase {
  /** Whether the import had finished before. */
  readonly isOver: boolean;
  /** Of the import's own row, as every event of a snapshot tells it at least; null when events before a cursor have told some other. */
  readonly version: string | null;
}

async function startPosition(
  { db, cursors, snapshots }: ProgressDeps,
  { importId, after }: Pick<ImportProgressOptions, 'importId' | 'after'>,
): Promise<Start> {
  const given = after === null ? null : cursors.decode(importId, after);
  if (given !== null) {
    const moment = await readMoment(db, importId, given.xmin);
    const {
      xmin,
      finished: isOver,
      isTooOld,
    } = moment ?? { xmin: given.xmin, finished: false, isTooOld: false };
    // A cursor from the future is none of ours.
    if (!isTooOld && BigInt(given.xmin) <= BigInt(xmin))
      return { ...given, at: performance.now(), isOver, version: null };
  }
  return { ...((await snapshots.begin(importId)) ?? NO_IMPORT), ordinal: -1 };
}

const NO_IMPORT = { xmin: '0', at: 0, isOver: false, version: null };

/** The latest state of every task and rejected file, in the order they were found, page by page. */
async function* tellSnapshot(
  { snapshots }: ProgressDeps,
  { importId, tasks, signal }: ImportProgressOptions,
  { start, told }: { readonly start: Start; readonly told: Told },
): AsyncGenerator<ImportEvent> {
  let after = start.ordinal ?? -1;
  let { at } = start;
  const begins = after === -1;
  for (let first = true; ; first = false) {
    signal.throwIfAborted();
    const asked = { importId, base: { xmin: start.xmin, at }, tasks, begins, after };
    const page = await whenConnected(() => snapshots.page(asked), signal);
    if (page.rows.length === 0 && !first) return;
    remember(told, page.rows);
    after = page.ordinal;
    // With each page the import itself is told: none is taken that is older than the last.
    at = page.readAt;
    yield page.event;
    if (page.isLast) return;
  }
}

/** Keeps only what may be found once more: of a large import that is little. */
function remember(told: Told, found: readonly FoundChange[]): void {
  for (const { id, version, recent } of found) if (recent) told.set(id, version);
}

function versionsOf(importId: string, { rows, version }: ImportChanges): Told {
  const told: Told = new Map([[importId, version]]);
  remember(told, rows);
  return told;
}

/** More changes than these are executed for each subscriber by itself. */
const MOST_SHARED = 10 * EVENT_SIZE;

/** The events that follow from a read, by what of it is news: the same for all who go on from the same place and know the same. */
const sharedEvents = new WeakMap<ImportChanges, Map<string, readonly ImportEvent[]>>();

interface NewChanges {
  readonly changes: ImportChanges;
  readonly from: string;
  readonly told: Told;
}

/** Events for what has changed and was not told yet; only the cursor of the last one is past all of it. */
function tellChanges(
  { cursors }: ProgressDeps,
  { importId, tasks }: ImportProgressOptions,
  { changes, from, told }: NewChanges,
): readonly ImportEvent[] {
  const news = changes.rows.filter(({ id, version }) => told.get(id) !== version);
  const known = told.get(importId);
  const isNew = known === undefined ? BigInt(changes.version) >= BigInt(from) : changes.version !== known;
  if (news.length === 0 && !isNew && !changes.finished) return [];
  const rows = tasks ? news : [];
  const made = sharedEvents.get(changes) ?? new Map<string, readonly ImportEvent[]>();
  sharedEvents.set(changes, made);
  const key = `${tasks} ${from} ${digest(rows)}`;
  const events = made.get(key) ?? makeEvents({ importId, cursors, tasks, from, to: changes.xmin }, rows);
  made.set(key, events);
  return events;
}

interface EventOptions {
  readonly importId: string;
  readonly cursors: ProgressDeps['cursors'];
  readonly tasks: boolean;
  readonly from: string;
  readonly to: string;
}

function makeEvents({ from, to, ...options }: EventOptions, rows: readonly FoundChange[]): ImportEvent[] {
  const events: ImportEvent[] = [];
  // What an event says is kept for as long as anybody who is slow has not come to the end of all of them.
  const shared = rows.length <= MOST_SHARED;
  let at = 0;
  do {
    const changes = rows.slice(at, at + EVENT_SIZE);
    at += EVENT_SIZE;
    const part = { xmin: at >= rows.length ? to : from, changes };
    events.push(toEvent({ ...options, part, shared }));
  } while (at < rows.length);
  return events;
}

function digest(rows: readonly FoundChange[]): string {
  const hash = createHash('sha256');
  for (const { id } of rows) hash.update(id);
  return hash.digest('base64');
}
