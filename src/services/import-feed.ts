import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../db/client.ts';
import type { Hub } from '../events/hub.ts';
import { createBell } from './bell.ts';
import { type ChangeLog, createChangeLog, type LoggedChange, type LogPart } from './change-log.ts';
import type { Cursors } from './cursors.ts';
import { EVENT_SIZE, type ImportChanges, readChanges } from './import-changes.ts';
import { type ImportEvent, toEvent } from './import-event.ts';
import { whenConnected } from './when-connected.ts';

export interface FeedDeps {
  readonly db: Database;
  readonly hub: Hub;
  readonly cursors: Cursors;
}

/** What changes is told at most this often. */
const TICK_MS = 100;

/** After a look that has found nothing: what is told of next may be the first for long, and is hardly to wait. Twice that after two. */
const IDLE_TICK_MS = 5;

/** So long those are waited for who come at the same time, as after a restart. */
const GATHER_MS = 25;

/** What is told to a subscriber that has been told all before. */
interface FollowOptions {
  /** false: events without tasks and files. */
  readonly tasks: boolean;
  /** What it has been told otherwise meanwhile: versions by id, those of the import's own row too. */
  readonly told: ReadonlyMap<string, string>;
}

/** One subscriber's place in a feed. */
export interface Follower {
  /** The position of transactions before which everything has been told, or told to others at least. */
  readonly xmin: string;
  /**
   * What has changed since a position of transactions, read after this was asked for, and once for all who ask for the same at
   * about the same time. Null when there is no such import.
   */
  since(xmin: string): Promise<ImportChanges | null>;
  /** Begins to follow from where the feed stood when this follower was made. */
  follow(options: FollowOptions): void;
  /**
   * The next event at once, where there is news. OVER: the import has finished, and that was told. LOST: what comes next has
   * been forgotten, read it from `xmin` on. Null: nothing for now.
   * @throws what went wrong for good when the feed was read
   */
  take(): ImportEvent | 'OVER' | 'LOST' | null;
  /** Waits until `take` may have something; rejects with the reason of the signal that it joined with when that is aborted. */
  changed(): Promise<void>;
  leave(): void;
}

interface Place {
  position: number;
  wake: (() => void) | null;
}

interface MadeEvent {
  readonly event: ImportEvent;
  readonly part: LogPart;
  /** How many events the feed had made before. */
  readonly number: number;
}

interface Feed {
  readonly followers: Set<Place>;
  readonly events: Map<string, MadeEvent>;
  /** Reads that have not begun yet, by the position that they are from. */
  readonly gathering: Map<string, Promise<ImportChanges | null>>;
  readonly stop: AbortController;
  /** Null before the first read. */
  log: ChangeLog | null;
  xmin: string;
  /** How many reads have begun, and ended. */
  begun: number;
  ended: number;
  /** How many events have been made. */
  made: number;
  state: 'OPEN' | 'OVER' | { readonly error: unknown };
}

/** What this process reads of imports for all who follow them. */
export interface ImportFeeds {
  /** How many subscribers there are, also those that do not follow yet. */
  readonly subscribers: number;
  /** Counts a subscriber. @returns ends that */
  enter(): () => void;
  /** Takes a place in the feed of an import, after its first read; the feed ends when the last one leaves. */
  join(importId: string, signal: AbortSignal): Promise<Follower>;
}

/**
 * Reads the changes of each import that is followed once for all its followers, and makes the same event for all who stand at the
 * same place. What has changed is kept once, each task once: a follower is a position in it, so that a slow one costs nothing and
 * gets the latest state of each task when it is ready.
 */
export function createImportFeeds(deps: FeedDeps): ImportFeeds {
  const feeds = new Map<string, Feed>();
  const open = (importId: string): Feed => {
    const feed: Feed = {
      followers: new Set(),
      events: new Map(),
      gathering: new Map(),
      stop: new AbortController(),
      log: null,
      xmin: '0',
      begun: 0,
      ended: 0,
      made: 0,
      state: 'OPEN',
    };
    feeds.set(importId, feed);
    const close = (state: Feed['state']) => {
      feed.state = state;
      if (feeds.get(importId) === feed) feeds.delete(importId);
      wakeAll(feed);
    };
    run(deps, importId, feed).then(
      () => close('OVER'),
      (error: unknown) => close({ error }),
    );
    return feed;
  };
  let subscribers = 0;
  return {
    get subscribers() {
      return subscribers;
    },
    enter() {
      subscribers += 1;
      return () => {
        subscribers -= 1;
      };
    },
    async join(importId, signal) {
      const feed = feeds.get(importId) ?? open(importId);
      const place: Place = { position: 0, wake: null };
      feed.followers.add(place);
      // One listener for all that it will ever wait.
      const onAbort = () => place.wake?.();
      signal.addEventListener('abort', onAbort, { once: true });
      const leave = () => {
        signal.removeEventListener('abort', onAbort);
        feed.followers.delete(place);
        if (feed.followers.size > 0 || feed.stop.signal.aborted) return;
        if (feeds.get(importId) === feed) feeds.delete(importId);
        feed.stop.abort();
      };
      try {
        while (feed.log === null && feed.state === 'OPEN') await woken(place, signal);
      } catch (error) {
        leave();
        throw error;
      }
      return createFollower(feed, place, { ...deps, importId, signal, leave });
    },
  };
}

/** Reads until the import has finished or is gone, or nobody follows it any more. */
async function run({ db, hub }: FeedDeps, importId: string, feed: Feed): Promise<void> {
  const { signal } = feed.stop;
  const bell = createBell(signal);
  const unsubscribe = hub.onImport(importId, bell.ring);
  try {
    let sent: ReadonlyMap<string, string> = new Map();
    let pause = IDLE_TICK_MS;
    for (;;) {
      bell.clear();
      feed.begun += 1;
      const since = feed.log === null ? null : feed.xmin;
      const changes = await whenConnected(() => readChanges(db, importId, { since }), signal);
      if (changes === null) return;
      const before = feed.log?.end;
      sent = take(feed, importId, { changes, sent });
      if (changes.finished) return;
      const isNew = feed.log?.end !== before;
      await Promise.all([bell.wait(), sleep(isNew ? TICK_MS : pause, undefined, { signal })]);
      pause = isNew ? IDLE_TICK_MS : Math.min(2 * pause, TICK_MS);
    }
  } finally {
    unsubscribe();
  }
}

/** Adds the news of a read to the log. @returns the versions that it found: what it did not find cannot come again */
function take(
  feed: Feed,
  importId: string,
  { changes, sent }: { readonly changes: ImportChanges; readonly sent: ReadonlyMap<string, string> },
): ReadonlyMap<string, string> {
  const all: readonly LoggedChange[] = [
    ...changes.rows,
    { id: importId, kind: 'I', version: changes.version },
  ];
  const isFirst = feed.log === null;
  const log = feed.log ?? createChangeLog(changes.xmin);
  const before = log.end;
  const news = isFirst ? [] : all.filter(({ id, version }) => sent.get(id) !== version);
  if (changes.isTooMuch && !isFirst) log.skip(changes.xmin);
  else log.add(news, feed.xmin, changes.xmin);
  const isNew = log.end > before;
  feed.log = log;
  feed.xmin = changes.xmin;
  feed.ended = feed.begun;
  // Whoever has not taken them yet is told the rest with them.
  if (isNew) feed.events.clear();
  log.forget(Math.min(log.end, ...[...feed.followers].map(({ position }) => position)));
  if (isFirst || isNew) wakeAll(feed);
  return new Map(all.map(({ id, version }) => [id, version]));
}

function wakeAll({ followers }: Feed): void {
  for (const { wake } of followers) wake?.();
}

async function woken(place: Place, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve) => {
    place.wake = resolve;
  });
  place.wake = null;
  signal.throwIfAborted();
}

function createFollower(
  feed: Feed,
  place: Place,
  {
    db,
    importId,
    cursors,
    signal,
    leave,
  }: FeedDeps & {
    readonly importId: string;
    readonly signal: AbortSignal;
    readonly leave: () => void;
  },
): Follower {
  place.position = feed.log?.end ?? 0;
  let { xmin } = feed;
  let tasks = true;
  let told: ReadonlyMap<string, string> | null = null;
  let toldAt = 0;
  let madeBefore = 0;
  const size = () => (tasks ? EVENT_SIZE : Number.POSITIVE_INFINITY);

  const keyOf = () => `${tasks} ${place.position}`;
  const takeShared = (log: ChangeLog): ImportEvent => {
    const key = keyOf();
    const made = feed.events.get(key) ?? make(log.after(place.position, size()), true);
    feed.events.set(key, made);
    ({ xmin } = made.part);
    place.position = made.part.to;
    return made.event;
  };
  const make = (part: LogPart, shared: boolean): MadeEvent => ({
    part,
    number: feed.made++,
    event: toEvent({ importId, cursors, part, tasks, shared }),
  });
  /** What was told before it began to follow may come once more. */
  const takeOwn = (log: ChangeLog, known: ReadonlyMap<string, string>): ImportEvent | null => {
    while (place.position < log.end) {
      const { changes, ...part } = log.after(place.position, size());
      if (part.isEnd && feed.ended > toldAt) told = null;
      const news = changes.filter(({ id, version }) => known.get(id) !== version);
      // Mostly nothing of it was: a crowd that came at once is told the same from the first change on. But what others were told
      // before this one knew what it knows may say less than that, also of the import's own row.
      const isLater = (feed.events.get(keyOf())?.number ?? feed.made) >= madeBefore;
      if (isLater && news.length === changes.length) return takeShared(log);
      ({ xmin } = part);
      place.position = part.to;
      if (news.length > 0) return make({ ...part, changes: news }, false).event;
    }
    return null;
  };
  return {
    get xmin() {
      return xmin;
    },
    since(from) {
      const known = feed.gathering.get(from);
      if (known !== undefined) return known;
      // Whoever comes later stands at this place or behind it.
      const recent = xmin;
      const reading = sleep(GATHER_MS).then(() => {
        feed.gathering.delete(from);
        return readChanges(db, importId, { since: from, recent });
      });
      feed.gathering.set(from, reading);
      return reading;
    },
    follow(options) {
      ({ tasks, told } = options);
      toldAt = feed.begun;
      madeBefore = feed.made;
    },
    take() {
      const { log, state } = feed;
      if (typeof state === 'object') throw state.error;
      if (log === null) return 'OVER';
      if (place.position < log.start) return 'LOST';
      const event = place.position === log.end ? null : told === null ? takeShared(log) : takeOwn(log, told);
      return event ?? (state === 'OVER' ? 'OVER' : null);
    },
    changed: () => woken(place, signal),
    leave,
  };
}
