import { setTimeout as sleep } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Database } from '../db/client.ts';
import type { Cursors } from './cursors.ts';
import { EVENT_SIZE, type PageRow, readMoment, readPage } from './import-changes.ts';
import { type ImportEvent, idsOf } from './import-event.ts';

/** Snapshots of an import begin at most this often, in milliseconds: whoever comes sooner waits, and begins with all who do. */
const SPACING_MS = 200;
/** Of so many imports is known when the last one began. */
const MAX_IMPORTS = 1_000;
/** Pages are kept for those who are right behind. */
const KEPT_PAGES = 64;
const KEPT_MS = 5_000;
/** Nobody waits for longer than this for a read of somebody else's to end, in milliseconds. */
const PATIENCE_MS = 50;

/** Where a snapshot begins. */
export interface SnapshotBase {
  /** What transactions before this position have changed is in it; what later ones have may be missing. */
  readonly xmin: string;
  /** When that was so, of performance.now(): no page of it was read before. */
  readonly at: number;
}

/** Where a snapshot begins, and what was so there. */
export interface SnapshotStart extends SnapshotBase {
  /** Whether the import had finished. */
  readonly isOver: boolean;
  /** Of the import's own row: every event of the snapshot tells that one at least. */
  readonly version: string;
}

/** A page of where an import stands. */
export interface SnapshotPage {
  readonly rows: readonly PageRow[];
  readonly event: ImportEvent;
  /** When its reading began, of performance.now(). */
  readonly readAt: number;
  /** The ordinal of its last row; what was asked for when it has none. */
  readonly ordinal: number;
  readonly isLast: boolean;
}

/** Which page of which snapshot. */
export interface AskedPage {
  readonly importId: string;
  readonly base: SnapshotBase;
  /** false: no tasks and files. */
  readonly tasks: boolean;
  /** Whether the snapshot began at its beginning for whoever asks, and not in its middle. */
  readonly begins: boolean;
  /** The ordinal before the first row. */
  readonly after: number;
}

/** Reads where imports stand once for all who come at about the same time, as all do when a server has been restarted. */
export interface ImportSnapshots {
  /** Where to begin, read after this was asked for. Null when there is no such import. */
  begin(importId: string): Promise<SnapshotStart | null>;
  page(asked: AskedPage): Promise<SnapshotPage>;
}

interface Beginning {
  readonly at: number;
  next: Promise<SnapshotStart | null> | null;
}

interface Read {
  readonly begunAt: number;
  readonly page: Promise<SnapshotPage>;
  isOver: boolean;
  next: Promise<SnapshotPage> | null;
}

/** Makes a reader that knows of nothing. */
export function createImportSnapshots({
  db,
  cursors,
}: {
  readonly db: Database;
  readonly cursors: Cursors;
}): ImportSnapshots {
  const reads = new LRUCache<string, Read>({ max: KEPT_PAGES, ttl: KEPT_MS, ttlAutopurge: true });
  const beginnings = new LRUCache<string, Beginning>({ max: MAX_IMPORTS });

  const beginNow = async (importId: string): Promise<SnapshotStart | null> => {
    beginnings.set(importId, { at: performance.now(), next: null });
    const moment = await readMoment(db, importId, null);
    if (moment === null) return null;
    const { xmin, finished: isOver, version } = moment;
    return { xmin, at: performance.now(), isOver, version };
  };

  const start = (key: string, asked: AskedPage): Promise<SnapshotPage> => {
    const page = readOne(db, cursors, asked);
    const read: Read = { begunAt: performance.now(), page, isOver: false, next: null };
    reads.set(key, read);
    page.then(
      () => {
        read.isOver = true;
      },
      () => reads.peek(key) === read && reads.delete(key),
    );
    return page;
  };
  return {
    begin(importId) {
      const known = beginnings.get(importId);
      const wait = known === undefined ? 0 : known.at + SPACING_MS - performance.now();
      if (known === undefined || wait <= 0) return beginNow(importId);
      known.next ??= sleep(wait).then(() => beginNow(importId));
      return known.next;
    },
    page(asked) {
      const { importId, base, tasks, begins, after } = asked;
      const key = [importId, base.xmin, tasks, begins, after].join(' ');
      const known = reads.get(key);
      if (known === undefined || (known.isOver && known.begunAt < base.at)) return start(key, asked);
      if (known.begunAt >= base.at) return known.page;
      known.next ??= atMost(known.page).then(() => start(key, asked));
      return known.next;
    },
  };
}

async function atMost(read: Promise<unknown>): Promise<void> {
  const over = new AbortController();
  const late = sleep(PATIENCE_MS, undefined, { signal: over.signal }).catch(() => {});
  await Promise.race([read.catch(() => {}), late]);
  over.abort();
}

async function readOne(db: Database, cursors: Cursors, asked: AskedPage): Promise<SnapshotPage> {
  const { importId, base, tasks, begins, after } = asked;
  const readAt = performance.now();
  const rows = tasks ? await readPage(db, importId, { after, recent: base.xmin }) : [];
  const ordinal = rows.at(-1)?.ordinal ?? after;
  const isLast = rows.length < EVENT_SIZE;
  const event = {
    importId,
    cursor: cursors.encode(importId, { xmin: base.xmin, ordinal: isLast ? null : ordinal }),
    // A client forgets what it knew when a snapshot begins: one that goes on must not say that it does.
    snapshot: begins,
    changedIds: idsOf(rows, 'T'),
    rejectedIds: idsOf(rows, 'F'),
    deletedIds: [],
    shared: true,
  };
  return { rows, event, readAt, ordinal, isLast };
}
