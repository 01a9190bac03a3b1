import type { Logger } from 'pino';
import type { Database } from '../db/client.ts';
import { askNamed, namedStatement } from '../db/named-statements.ts';
import type { StageName } from '../db/tables/tasks.ts';
import { CHANGES_CHANNEL } from './changes.ts';

/** Where a running task stands, as its worker sees it. */
export interface ProgressReport {
  readonly taskId: string;
  readonly importId: string | null;
  readonly teamId: string;
  readonly jobId: string;
  /** The acquisition that reports: one that lost its lease changes nothing. */
  readonly claim: string;
  readonly attempt: number;
  readonly stage: StageName;
  /** 0 to 1, of this stage. */
  readonly stageFraction: number;
  /** Of each stage that runs, where several do at once: 0 to 1. */
  readonly stageFractions?: Readonly<Partial<Record<StageName, number>>>;
  /** 0 to 1, over all stages. */
  readonly fraction: number;
  readonly bytesDone: number;
  readonly bytesTotal: number | null;
}

/** The worker's end of the one-way street of progress. */
export interface ProgressReporter {
  /** Keeps the latest figure of each task and returns at once. */
  report(report: ProgressReport): void;
  /** Forgets a task that this worker is done with. */
  forget(taskId: string): void;
  /** Writes what is still kept. */
  stop(): Promise<void>;
}

const FLUSH_MS = 150;
/** How fast the average follows the speed of the moment: the weight of the past halves in this many seconds. */
const SPEED_HALF_LIFE_SECONDS = 2;

/** What takes longer is not foretold: thirty days. */
export const MAX_ETA_SECONDS = 30 * 86_400;

interface Meter {
  readonly attempt: number;
  readonly at: number;
  readonly bytesDone: number;
  readonly bytesPerSecond: number | null;
}

/** The smoothed speed after a further report; null until two reports are apart in time. */
function measure(before: Meter | undefined, report: ProgressReport, at: number): Meter {
  const start = { attempt: report.attempt, at, bytesDone: report.bytesDone, bytesPerSecond: null };
  if (!before || before.attempt !== report.attempt || report.bytesDone < before.bytesDone) return start;
  const seconds = (at - before.at) / 1000;
  if (seconds < FLUSH_MS / 2000) return before;
  const speed = (report.bytesDone - before.bytesDone) / seconds;
  const weight = 0.5 ** (seconds / SPEED_HALF_LIFE_SECONDS);
  const smoothed =
    before.bytesPerSecond === null ? speed : before.bytesPerSecond * weight + speed * (1 - weight);
  return { ...start, bytesPerSecond: smoothed };
}

const toRow = (report: ProgressReport, meter: Meter) => {
  const speed =
    report.stage === 'UPLOAD' && meter.bytesPerSecond !== null ? Math.round(meter.bytesPerSecond) : null;
  const left = report.bytesTotal === null ? null : report.bytesTotal - report.bytesDone;
  const eta = speed !== null && speed > 0 && left !== null ? Math.ceil(left / speed) : null;
  return {
    ...report,
    bytesPerSecond: speed,
    etaSeconds: eta !== null && eta <= MAX_ETA_SECONDS ? Math.max(0, eta) : null,
  };
};

/**
 * Writes the figures of many tasks and tells of them, all in one statement. Joined to jobs by claim, so that a worker
 * that was presumed dead changes nothing; the key share lock keeps a task that ends at the same moment from
 * leaving a row behind. The fractions never go back within an attempt. What belongs to a job that somebody else has locked
 * at the moment is not waited for, but given back: it may have been the last report for a long time. It is looked for only where
 * something is missing, as the look costs as much as all the rest.
 */
const FLUSH = namedStatement(`
  with given as materialized (
    select r.* from jsonb_to_recordset($1::jsonb) as r(
      "taskId" uuid, "importId" uuid, "teamId" uuid, "jobId" uuid, claim bigint, attempt int, stage text,
      "stageFraction" float8, "stageFractions" jsonb, fraction float8, "bytesDone" bigint, "bytesTotal" bigint, "bytesPerSecond" bigint, "etaSeconds" int)
  ), reported as materialized (
    select r.* from given r
    join jobs j on j.id = r."jobId" and j.claim = r.claim and j.owner is not null
    for key share of j skip locked
  ), written as (
    insert into task_progress as p (task_id, import_id, team_id, claim, attempt, stage, stage_fraction, stage_fractions, fraction,
                                    bytes_done, bytes_total, bytes_per_second, eta_seconds)
    select "taskId", "importId", "teamId", claim, attempt, stage, "stageFraction", "stageFractions", fraction,
           "bytesDone", "bytesTotal", "bytesPerSecond", "etaSeconds"
      from reported
     order by "taskId"
    on conflict (task_id) do update set
      claim = excluded.claim, attempt = excluded.attempt, stage = excluded.stage,
      stage_fraction = case when p.attempt = excluded.attempt and p.stage = excluded.stage
        then greatest(p.stage_fraction, excluded.stage_fraction) else excluded.stage_fraction end,
      stage_fractions = excluded.stage_fractions,
      fraction = case when p.attempt = excluded.attempt then greatest(p.fraction, excluded.fraction) else excluded.fraction end,
      bytes_done = excluded.bytes_done, bytes_total = excluded.bytes_total,
      bytes_per_second = excluded.bytes_per_second, eta_seconds = excluded.eta_seconds,
      version = p.version + 1, updated_at = date_trunc('milliseconds', now())
      where p.claim <= excluded.claim
    returning team_id, import_id
  )
  select null::uuid as "taskId", pg_notify('${CHANGES_CHANNEL}', change)::text as told
    from (select distinct team_id::text || ' ' || coalesce(import_id::text, '-') as change from written) changes
  union all
  select r."taskId", null from given r
    join jobs j on j.id = r."jobId" and j.claim = r.claim and j.owner is not null
   where (select count(*) from reported) < (select count(*) from given)
     and not exists (select from reported where reported."taskId" = r."taskId")`);

/** Collects the figures of a worker's tasks and flushes them together: at once when idle, then at most every 150 ms. */
export function createProgressReporter(options: {
  readonly db: Database;
  readonly log: Logger;
}): ProgressReporter {
  const { db, log } = options;
  const pending = new Map<string, ProgressReport>();
  const meters = new Map<string, Meter>();
  let flushing: Promise<void> | null = null;
  let timer: NodeJS.Timeout | null = null;

  const flush = async () => {
    const reports = [...pending.values()];
    pending.clear();
    const now = Date.now();
    const rows = reports.map((report) => {
      const meter = measure(meters.get(report.taskId), report, now);
      meters.set(report.taskId, meter);
      return toRow(report, meter);
    });
    try {
      const { rows: answers } = await askNamed<{ taskId: string | null }>(db, FLUSH, [JSON.stringify(rows)]);
      const locked = new Set(answers.map(({ taskId }) => taskId));
      for (const report of reports)
        if (locked.has(report.taskId) && meters.has(report.taskId) && !pending.has(report.taskId))
          pending.set(report.taskId, report);
    } catch (error) {
      // The next report brings the figures again.
      log.warn({ err: error }, 'progress could not be written');
    }
  };
  const schedule = () => {
    if (flushing !== null || timer !== null || pending.size === 0) return;
    flushing = flush().finally(() => {
      flushing = null;
      timer = setTimeout(() => {
        timer = null;
        schedule();
      }, FLUSH_MS);
    });
  };
  return {
    report(report) {
      pending.set(report.taskId, report);
      schedule();
    },
    forget(taskId) {
      pending.delete(taskId);
      meters.delete(taskId);
    },
    async stop() {
      await flushing;
      if (timer !== null) clearTimeout(timer);
      timer = null;
      if (pending.size > 0) await flush();
    },
  };
}
