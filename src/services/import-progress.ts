import type { Position } from './cursors.ts';
import { EVENT_SIZE, type FoundChange, type ImportChanges, readMoment, readPage } from './import-changes.ts';
import { type ImportEvent, idsOf, toEvent } from './import-event.ts';
import type { FeedDeps, ImportFeeds } from './import-feed.ts';
import { whenConnected } from './when-connected.ts';

export interface ProgressDeps extends Pick<FeedDeps, 'db' | 'cursors'> {
  readonly feeds: ImportFeeds;
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
 * more, so that a slow one gets the latest state of each task, and none costs more memory than an event.
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
      const { isOver, version, ...start } = await whenConnected(
        () => startPosition(deps, { importId, after }),
        signal,
      );
      let told: Told = new Map(version === null ? [] : [[importId, version]]);
      if (start.ordinal !== null) yield* tellSnapshot(deps, options, { start, told });
      // All was over before anything was read: the snapshot has told the end.
      if (isOver && start.ordinal === -1) return;
      isTold = true;
      for (let { xmin } = start; isTold; told = new Map()) {
        const follower = await deps.feeds.join(importId, signal);
        try {
          const from = xmin;
          const changes = await whenConnected(() => follower.since(from), signal);
          if (changes === null) return;
          isTold = !changes.isTooMuch;
          if (!isTold) break;
          yield* tellChanges(deps, options, { changes, from, told });
          if (changes.finished) return;
          follower.follow({ tasks: options.tasks, told: versionsOf(importId, changes) });
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

interface Start extends Position {
  /** Whether the import had finished before. */
  readonly isOver: boolean;
  /** Of the import's own row, as every event of a snapshot tells it at least; null when events before a cursor have told some other. */
  readonly version: string | null;
}

async function startPosition(
  { db, cursors }: ProgressDeps,
  { importId, after }: Pick<ImportProgressOptions, 'importId' | 'after'>,
): Promise<Start> {
  const given = after === null ? null : cursors.decode(importId, after);
  const moment = await readMoment(db, importId, given?.xmin ?? null);
  const { xmin, finished: isOver, version, isTooOld } = moment ?? NO_IMPORT;
  // A cursor from the future is none of ours.
  if (given === null || isTooOld || BigInt(given.xmin) > BigInt(xmin))
    return { xmin, ordinal: -1, isOver, version };
  return { ...given, isOver, version: null };
}

const NO_IMPORT = { xmin: '0', finished: false, version: null, isTooOld: false };

/** The latest state of every task and rejected file, in the order they were found; one page in memory at a time. */
async function* tellSnapshot(
  { db, cursors }: ProgressDeps,
  { importId, tasks, signal }: ImportProgressOptions,
  { start, told }: { readonly start: Position; readonly told: Told },
): AsyncGenerator<ImportEvent> {
  let after = start.ordinal ?? -1;
  // A client forgets what it knew when a snapshot begins: one that goes on must not say that it does.
  const begins = after === -1;
  for (let first = true; ; first = false) {
    signal.throwIfAborted();
    const range = { after, recent: start.xmin };
    const page = tasks ? await whenConnected(() => readPage(db, importId, range), signal) : [];
    if (page.length === 0 && !first) return;
    remember(told, page);
    after = page.at(-1)?.ordinal ?? after;
    const last = page.length < EVENT_SIZE;
    yield {
      importId,
      cursor: cursors.encode(importId, { xmin: start.xmin, ordinal: last ? null : after }),
      snapshot: begins,
      changedIds: idsOf(page, 'T'),
      rejectedIds: idsOf(page, 'F'),
      deletedIds: [],
      shared: false,
    };
    if (last) return;
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

/** The events for whoever has been told nothing by itself yet: the same for all who go on from the same place. */
const sharedEvents = new WeakMap<ImportChanges, Map<string, readonly ImportEvent[]>>();

interface NewChanges {
  readonly changes: ImportChanges;
  readonly from: string;
  readonly told: Told;
}

function tellChanges(
  deps: ProgressDeps,
  options: ImportProgressOptions,
  found: NewChanges,
): Iterable<ImportEvent> {
  if (found.told.size > 0) return makeEvents(deps, options, { ...found, shared: false });
  const made = sharedEvents.get(found.changes) ?? new Map<string, readonly ImportEvent[]>();
  sharedEvents.set(found.changes, made);
  const key = `${options.tasks} ${found.from}`;
  const events = made.get(key) ?? [...makeEvents(deps, options, { ...found, shared: true })];
  made.set(key, events);
  return events;
}

/** Events for what has changed and was not told yet; only the cursor of the last one is past all of it. */
function* makeEvents(
  { cursors }: ProgressDeps,
  { importId, tasks }: ImportProgressOptions,
  { changes, from, told, shared }: NewChanges & { readonly shared: boolean },
): Generator<ImportEvent> {
  const news = changes.rows.filter(({ id, version }) => told.get(id) !== version);
  const known = told.get(importId);
  const isNew = known === undefined ? BigInt(changes.version) >= BigInt(from) : changes.version !== known;
  if (news.length === 0 && !isNew && !changes.finished) return;
  const rows = tasks ? news : [];
  let at = 0;
  do {
    const part = { xmin: from, changes: rows.slice(at, at + EVENT_SIZE) };
    at += EVENT_SIZE;
    if (at >= rows.length) part.xmin = changes.xmin;
    yield toEvent({ importId, cursors, part, tasks, shared });
  } while (at < rows.length);
}
