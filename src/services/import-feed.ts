import { setTimeout as sleep } from 'node:timers/promises';
import { createBell } from './bell.ts';
import { createChangeLog, type LoggedChange } from './change-log.ts';
import { type ImportChanges, readChanges } from './import-changes.ts';
import {
  createFollower,
  type Feed,
  type FeedDeps,
  type Follower,
  type Place,
  woken,
} from './import-follower.ts';
import { whenConnected } from './when-connected.ts';

/** What changes is told at most this often. */
const TICK_MS = 100;

/** After a look that has found nothing: what is told of next may be the first for long, and is hardly to wait. Twice that after two. */
const IDLE_TICK_MS = 5;

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
