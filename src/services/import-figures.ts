import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import type { DeletedCounts, ImportState, StoredCounts } from '../db/tables/imports.ts';
import { MAX_ETA_SECONDS } from '../events/progress.ts';
import { createImportPace, type ImportPace } from './import-pace.ts';

/** Where an import stands in numbers; found = undecided + rejected + the sum over the statuses, always. Bytes and seconds. */
export interface ImportFigures extends StoredCounts {
  readonly found: number;
  readonly undecided: number;
  /** 0 to 1: the mean over its tasks, each that has ended counting as 1. */
  readonly fraction: number;
  readonly bytesPerSecond: number | null;
  /** From the bytes that are left while some are on their way, else from how fast the fraction has grown. */
  readonly etaSeconds: number | null;
}

/** What of an import's row its figures follow from. */
export interface ImportRow {
  readonly id: string;
  readonly state: ImportState;
  readonly found: number;
  readonly counts: StoredCounts | null;
  readonly runs: number;
}

/** Figures of a running import may be this old: everybody who asks within that time gets the same. */
const MAX_AGE_MS = 1_000;

/** From this age on they are read anew while those that are there are given: whoever asks often never waits for them. */
const RENEW_AGE_MS = 700;
/** And so much later, when what they are given for has been told. */
const RENEW_DELAY_MS = 50;

const countStatement = (ids: readonly string[]) => sql`
  select i.id, i.state, i.found, i.deleted_counts as deleted,
         (select count(*) from import_entries e where e.import_id = i.id and e.verdict is null)::int as undecided,
         (select count(*) from failed_files f where f.import_id = i.id)::int as rejected,
         c.*
    from imports i
    cross join lateral (
      select count(*)::int as tasks,
             count(*) filter (where status = 'UPLOADING')::int as uploading,
             count(*) filter (where status = 'VALIDATING')::int as validating,
             count(*) filter (where status = 'PENDING')::int as pending,
             count(*) filter (where status = 'QUEUED')::int as queued,
             count(*) filter (where status = 'INDEXING')::int as indexing,
             count(*) filter (where status = 'READY')::int as ready,
             count(*) filter (where status = 'SKIPPED')::int as skipped,
             count(*) filter (where status = 'FAILED')::int as failed,
             count(*) filter (where status = 'CANCELED')::int as canceled,
             coalesce(sum(case when t.finished_at is not null then 1
                               else greatest(t.fraction, coalesce(p.fraction, 0)) end), 0) as fractions,
             coalesce(sum(greatest(t.bytes_done, coalesce(p.bytes_done, 0))), 0)::float8 as bytes_done,
             sum(coalesce(t.bytes_total, p.bytes_total, t.bytes_done))::float8 as bytes_total,
             count(*) filter (where t.finished_at is null and t.bytes_total is null and p.bytes_total is null)::int as unknown_sizes,
             sum(p.bytes_per_second)::float8 as bytes_per_second
        from tasks t
        left join task_progress p on p.task_id = t.id and p.attempt = t.attempts and t.finished_at is null
       where t.import_id = i.id
    ) c
   where i.id = any(${sql.param(ids)}::uuid[])`;

interface CountRow extends Record<string, unknown>, Omit<StoredCounts, 'bytesDone' | 'bytesTotal'> {
  readonly id: string;
  readonly state: ImportState;
  readonly found: number;
  readonly undecided: number;
  readonly deleted: Partial<DeletedCounts> | null;
  readonly tasks: number;
  readonly fractions: number;
  readonly bytes_done: number;
  readonly bytes_total: number | null;
  readonly unknown_sizes: number;
  readonly bytes_per_second: number | null;
}

function toFigures(row: CountRow, pace: ImportPace): ImportFigures {
  const { undecided, rejected, uploading, validating, pending, queued, indexing, tasks } = row;
  const gone = { ...NONE_DELETED, ...row.deleted };
  const goneTasks = gone.ready + gone.skipped + gone.failed + gone.canceled;
  const bytesDone = row.bytes_done + gone.bytesDone;
  const isOpen = undecided > 0 || row.unknown_sizes > 0;
  const bytesTotal = isOpen ? null : (row.bytes_total ?? 0) + gone.bytesTotal;
  const speed = row.bytes_per_second;
  const left = bytesTotal === null ? null : Math.max(0, bytesTotal - bytesDone);
  const all = tasks + goneTasks;
  const fraction = all === 0 ? 0 : Math.min(1, (Number(row.fractions) + goneTasks) / all);
  const isDecided = undecided === 0 && row.state !== 'PLANNING';
  const byPace = isDecided ? pace.etaSeconds(row.id, fraction, performance.now()) : null;
  const byBytes = left !== null && left > 0 && speed !== null && speed > 0 ? Math.ceil(left / speed) : null;
  return {
    found: row.found,
    ...{ undecided, rejected, uploading, validating, pending, queued, indexing },
    ready: row.ready + gone.ready,
    skipped: row.skipped + gone.skipped,
    failed: row.failed + gone.failed,
    canceled: row.canceled + gone.canceled,
    fraction,
    bytesDone,
    bytesTotal,
    bytesPerSecond: speed === null ? null : Math.round(speed),
    etaSeconds: byBytes !== null && byBytes <= MAX_ETA_SECONDS ? byBytes : byPace,
  };
}

const NONE_DELETED: DeletedCounts = {
  ready: 0,
  skipped: 0,
  failed: 0,
  canceled: 0,
  bytesDone: 0,
  bytesTotal: 0,
};

function finishedFigures(row: ImportRow, counts: StoredCounts): ImportFigures {
  const tasks = row.found - counts.rejected;
  return {
    ...counts,
    found: row.found,
    undecided: 0,
    fraction: tasks === 0 ? 0 : 1,
    bytesPerSecond: null,
    etaSeconds: null,
  };
}

/** Tells where imports stand. */
export interface FigureReader {
  load(row: ImportRow): Promise<ImportFigures>;
}

interface Cached {
  readonly at: number;
  readonly state: ImportState;
  readonly runs: number;
  readonly figures: Promise<ImportFigures>;
  isRenewed: boolean;
}

/**
 * Reads the figures of running imports by one statement for all that are asked for at once, at most once a second for each;
 * those of finished ones are in their rows.
 */
export function createFigureReader(db: Database): FigureReader {
  const cache = new Map<string, Cached>();
  const pace = createImportPace();
  let asked: Map<string, PromiseWithResolver> | null = null;

  const flush = async () => {
    const batch = asked ?? new Map<string, PromiseWithResolver>();
    asked = null;
    try {
      const { rows } = await db.execute<CountRow>(countStatement([...batch.keys()]));
      for (const row of rows) batch.get(row.id)?.resolve(toFigures(row, pace));
      for (const waiting of batch.values())
        waiting.reject(new Error('an import went away while it was counted'));
    } catch (error) {
      for (const waiting of batch.values()) waiting.reject(error);
    }
  };
  const count = (id: string): Promise<ImportFigures> => {
    if (asked === null) {
      asked = new Map();
      setImmediate(() => void flush());
    }
    const waiting = asked.get(id) ?? withResolver();
    asked.set(id, waiting);
    return waiting.promise;
  };
  const read = ({ id, state, runs }: ImportRow, at: number): Cached => ({
    ...{ at, state, runs },
    figures: count(id),
    isRenewed: false,
  });
  const renew = (row: ImportRow, old: Cached): void => {
    const fresh = read(row, Date.now());
    fresh.figures.then(
      () => cache.get(row.id) === old && cache.set(row.id, fresh),
      () => {
        old.isRenewed = false;
      },
    );
  };
  return {
    load(row) {
      if (row.counts !== null) return Promise.resolve(finishedFigures(row, row.counts));
      const cached = cache.get(row.id);
      const now = Date.now();
      const age = cached === undefined ? MAX_AGE_MS : now - cached.at;
      // Counts from before the end of planning would say that something is undecided still, those of an earlier run that
      // something has failed that is tried again.
      if (cached?.state === row.state && cached.runs === row.runs && age < MAX_AGE_MS) {
        if (age >= RENEW_AGE_MS && !cached.isRenewed) setTimeout(renew, RENEW_DELAY_MS, row, cached);
        if (age >= RENEW_AGE_MS) cached.isRenewed = true;
        return cached.figures;
      }
      for (const [id, entry] of cache) if (now - entry.at >= MAX_AGE_MS) cache.delete(id);
      const entry = read(row, now);
      cache.set(row.id, entry);
      entry.figures.catch(() => cache.delete(row.id));
      return entry.figures;
    },
  };
}

interface PromiseWithResolver {
  readonly promise: Promise<ImportFigures>;
  readonly resolve: (figures: ImportFigures) => void;
  readonly reject: (error: unknown) => void;
}

// Promise.withResolvers needs Node 22.
function withResolver(): PromiseWithResolver {
  let resolve: (figures: ImportFigures) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<ImportFigures>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
