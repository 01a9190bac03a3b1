import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../db/client.ts';
import type { Hub } from '../events/hub.ts';
import type { ChangeLog, LogPart } from './change-log.ts';
import type { Cursors } from './cursors.ts';
import { EVENT_SIZE, type ImportChanges, readChanges } from './import-changes.ts';
import { type ImportEvent, toEvent } from './import-event.ts';

export interface FeedDeps {
  readonly db: Database;
  readonly hub: Hub;
  readonly cursors: Cursors;
}

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

/** A follower's place. */
export interface Place {
  position: number;
  wake: (() => void) | null;
}

interface MadeEvent {
  readonly event: ImportEvent;
  readonly part: LogPart;
  /** How many events the feed had made before. */
  readonly number: number;
}

/** What is kept of an import for all who follow it. */
export interface Feed {
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

/** Waits until somebody wakes the place; rejects with the signal's reason when that is aborted. */
export async function woken(place: Place, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve) => {
    place.wake = resolve;
  });
  place.wake = null;
  signal.throwIfAborted();
}

/** Makes a follower that stands where the feed does. */
export function createFollower(
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
