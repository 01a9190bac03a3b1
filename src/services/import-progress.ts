import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import type { Hub } from '../events/hub.ts';
import type { Cursors, Position } from './cursors.ts';
import { isOlderThanKept } from './deleted-tasks.ts';
import { whenConnected } from './when-connected.ts';

/** One event of an import's subscription: which tasks and files it is about; their latest state is read when it is sent. */
export interface ImportEvent {
  readonly importId: string;
  readonly cursor: string;
  readonly snapshot: boolean;
  readonly changedIds: readonly string[];
  readonly rejectedIds: readonly string[];
  /** Tasks that were deleted. */
  readonly deletedIds: readonly string[];
}

export interface ProgressDeps {
  readonly db: Database;
  readonly hub: Hub;
  readonly cursors: Cursors;
}

export interface ImportProgressOptions {
  readonly importId: string;
  readonly after: string | null;
  /** false: the import alone, without its tasks and rejected files. */
  readonly tasks: boolean;
  readonly signal: AbortSignal;
}

/** An event names at most so many tasks and files; more follow at once. */
const EVENT_SIZE = 100;
/** A subscriber looks for changes at most this often. */
const TICK_MS = 100;

/**
 * An import as it goes: where things stand, then each change, then the end. Nothing is queued for a subscriber: it
 * reads what has changed since its position when it is ready for more, so that a slow one gets the latest
 * state of each task, and none costs more memory than an event.
 *
 * It listens first and reads then, so that there is no gap; and it asks for what transactions changed that were not
 * older than the last position's oldest open one, so that a late commit is not missed.
 */
export async function* importProgress(
  deps: ProgressDeps,
  options: ImportProgressOptions,
): AsyncGenerator<ImportEvent> {
  const { importId, signal } = options;
  const bell = createBell(signal);
  const unsubscribe = deps.hub.onImport(importId, bell.ring);
  try {
    const { isOver, version, ...start } = await whenConnected(() => startPosition(deps, options), signal);
    const sent = new Map<string, string>();
    if (start.ordinal !== null) yield* tellSnapshot(deps, options, { start, sent });
    // All was over before anything was read: the snapshot has told the end.
    if (isOver && start.ordinal === -1) return;
    yield* tellChanges(deps, options, { xmin: start.xmin, version, sent, bell });
  } finally {
    unsubscribe();
  }
}

interface Start extends Position {
  /** Whether the import had finished before. */
  readonly isOver: boolean;
  /** Of the import's own row, as every event of a snapshot tells it at least; null when events before a cursor have told some other. */
  readonly version: string | null;
}

/** It was deleted just now: the first read of changes finds that out. */
const NO_IMPORT = { xmin: '0', isOver: false, version: null, isTooOld: false };

async function startPosition(
  { db, cursors }: ProgressDeps,
  { importId, after }: ImportProgressOptions,
): Promise<Start> {
  const given = after === null ? null : cursors.decode(importId, after);
  const { rows } = await db.execute<{
    xmin: string;
    isOver: boolean;
    version: string;
    isTooOld: boolean;
  }>(sql`
    select pg_snapshot_xmin(pg_current_snapshot())::text as xmin, i.finished_at is not null as "isOver", i.changed_xid::text as version,
           ${given === null ? sql`false` : isOlderThanKept(sql`i.team_id`, given.xmin)} as "isTooOld"
      from imports i where i.id = ${importId}`);
  const { xmin, isOver, version, isTooOld } = rows[0] ?? NO_IMPORT;
  // A cursor from the future is none of ours.
  if (given === null || isTooOld || BigInt(given.xmin) > BigInt(xmin))
    return { xmin, ordinal: -1, isOver, version };
  return { ...given, isOver, version: null };
}

type Sent = Map<string, string>;

/** The latest state of every task and rejected file, in the order they were found; one page in memory at a time. */
async function* tellSnapshot(
  deps: ProgressDeps,
  { importId, tasks, signal }: ImportProgressOptions,
  { start, sent }: { readonly start: Position; readonly sent: Sent },
): AsyncGenerator<ImportEvent> {
  let ordinal = start.ordinal ?? -1;
  // A client forgets what it knew when a snapshot begins: one that goes on must not say that it does.
  const begins = ordinal === -1;
  for (let first = true; ; first = false) {
    signal.throwIfAborted();
    const from = ordinal;
    const page = tasks ? await whenConnected(() => readPage(deps.db, importId, from), signal) : [];
    if (page.length === 0 && !first) return;
    for (const row of page) sent.set(row.id, row.version);
    ordinal = page.at(-1)?.ordinal ?? ordinal;
    const last = page.length < EVENT_SIZE;
    yield {
      importId,
      cursor: deps.cursors.encode(importId, { xmin: start.xmin, ordinal: last ? null : ordinal }),
      snapshot: begins,
      changedIds: page.filter((row) => row.kind === 'T').map((row) => row.id),
      rejectedIds: page.filter((row) => row.kind === 'F').map((row) => row.id),
      deletedIds: [],
    };
    if (last) return;
  }
}

interface PageRow extends Record<string, unknown> {
  readonly ordinal: number;
  readonly id: string;
  readonly kind: 'T' | 'F';
  readonly version: string;
}

async function readPage(db: Database, importId: string, after: number): Promise<readonly PageRow[]> {
  const { rows } = await db.execute<PageRow>(sql`
    select * from (
      (select t.ordinal, t.id, 'T' as kind, ${versionOf} as version
         from tasks t left join task_progress p on p.task_id = t.id
        where t.import_id = ${importId} and t.ordinal > ${after} order by t.ordinal limit ${EVENT_SIZE})
      union all
      (select f.ordinal, f.id, 'F', '' from failed_files f
        where f.import_id = ${importId} and f.ordinal > ${after} order by f.ordinal limit ${EVENT_SIZE})
    ) page order by ordinal limit ${EVENT_SIZE}`);
  return rows;
}

/** Differs whenever a task, or its progress, has changed. */
const versionOf = sql`t.version || ' ' || coalesce(p.claim, 0) || ' ' || coalesce(p.version, 0)`;

async function* tellChanges(
  deps: ProgressDeps,
  { importId, tasks, signal }: ImportProgressOptions,
  { sent, bell, ...start }: Pick<Start, 'xmin' | 'version'> & { readonly sent: Sent; readonly bell: Bell },
): AsyncGenerator<ImportEvent> {
  let { xmin, version } = start;
  for (;;) {
    bell.clear();
    const from = xmin;
    const changes = await whenConnected(() => readChanges(deps.db, importId, from), signal);
    if (changes === null) return;
    const news = takeNews(changes, sent);
    const isNew = news.length > 0 || isNewRow(changes.version, version, start.xmin);
    if (isNew || changes.finished)
      yield* tellNews(deps, { importId, from: xmin, to: changes.xmin, news: tasks ? news : [] });
    if (changes.finished) return;
    ({ xmin, version } = changes);
    await Promise.all([bell.wait(), sleep(TICK_MS, undefined, { signal })]);
  }
}

/** Whether the import's own row has changed: since it was read last, or else since the position. */
const isNewRow = (version: string, known: string | null, xmin: string) =>
  known === null ? BigInt(version) >= BigInt(xmin) : version !== known;

interface Changes {
  readonly xmin: string;
  readonly finished: boolean;
  /** Differs whenever the import's own row has changed. */
  readonly version: string;
  /** Tasks, rejected files and deleted tasks. */
  readonly rows: readonly (readonly [id: string, kind: 'T' | 'F' | 'D', version: string])[];
}

/** What changed since a position, and where things stand, all in one snapshot: an import that has finished in it has no change after it. */
async function readChanges(db: Database, importId: string, xmin: string): Promise<Changes | null> {
  const { rows } = await db.execute<{
    xmin: string;
    finished: boolean;
    version: string;
    rows: Changes['rows'] | null;
  }>(sql`
    select pg_snapshot_xmin(pg_current_snapshot())::text as xmin, i.finished_at is not null as finished, i.changed_xid::text as version,
           (select jsonb_agg(jsonb_build_array(id, kind, version)) from (
              (select t.id, 'T' as kind, ${versionOf} as version
                 from tasks t left join task_progress p on p.task_id = t.id
                where t.import_id = ${importId}
                  and (t.changed_xid >= ${xmin}::xid8 or t.id in (select task_id from task_progress where import_id = ${importId}))
                order by t.ordinal)
              union all
              (select f.id, 'F', '' from failed_files f
                where f.import_id = ${importId} and f.changed_xid >= ${xmin}::xid8 order by f.ordinal)
              union all
              (select d.id, 'D', '' from deleted_tasks d
                where d.import_id = ${importId} and d.changed_xid >= ${xmin}::xid8)
            ) changed) as rows
      from imports i where i.id = ${importId}`);
  const [row] = rows;
  return row ? { ...row, rows: row.rows ?? [] } : null;
}

/** What of the changes was not told yet. What is no longer among the changes cannot come again: it is forgotten. */
function takeNews({ rows }: Changes, sent: Sent): Changes['rows'] {
  const news = rows.filter(([id, , version]) => sent.get(id) !== version);
  sent.clear();
  for (const [id, , version] of rows) sent.set(id, version);
  return news;
}

/** Events for the news; only the cursor of the last one is past all of them. */
function* tellNews(
  { cursors }: ProgressDeps,
  {
    importId,
    from,
    to,
    news,
  }: {
    readonly importId: string;
    readonly from: string;
    readonly to: string;
    readonly news: Changes['rows'];
  },
): Generator<ImportEvent> {
  let at = 0;
  do {
    const part = news.slice(at, at + EVENT_SIZE);
    at += EVENT_SIZE;
    yield {
      importId,
      cursor: cursors.encode(importId, { xmin: at >= news.length ? to : from, ordinal: null }),
      snapshot: false,
      changedIds: part.filter(([, kind]) => kind === 'T').map(([id]) => id),
      rejectedIds: part.filter(([, kind]) => kind === 'F').map(([id]) => id),
      deletedIds: part.filter(([, kind]) => kind === 'D').map(([id]) => id),
    };
  } while (at < news.length);
}

/** Rings once however often it was rung: all that is ever kept for a subscriber. */
export interface Bell {
  ring(): void;
  clear(): void;
  /** Waits until it is rung, or was since it was cleared last; rejects with the signal's reason when that is aborted. */
  wait(): Promise<void>;
}

export function createBell(signal: AbortSignal): Bell {
  let rung = false;
  let wake: (() => void) | null = null;
  return {
    ring() {
      rung = true;
      wake?.();
    },
    clear() {
      rung = false;
    },
    wait: () =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        if (rung) return resolve();
        const onAbort = () => reject(signal.reason);
        signal.addEventListener('abort', onAbort, { once: true });
        wake = () => {
          signal.removeEventListener('abort', onAbort);
          wake = null;
          resolve();
        };
      }),
  };
}
