import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { Database } from '../db/client.ts';
import { acknowledge } from './acknowledge.ts';
import { LeaseLostError, WorkerStoppedError } from './errors.ts';
import { logOutcome, runJob } from './executor.ts';
import { createFinisher } from './finisher.ts';
import { createGate } from './gate.ts';
import { giveBack } from './give-back.ts';
import type { JobHandler } from './handler.ts';
import type { ClaimedJob } from './job.ts';
import { createLane, type Lane } from './lane.ts';
import type { Leases } from './leases.ts';
import type { Outcome } from './outcome.ts';
import { Run } from './run.ts';
import { markAlone } from './sql/alone.ts';

/** How long jobs have to end after their signal, and the database to store that, before the worker goes. */
const ABORT_MS = 2000;
/** How often it is looked for jobs that wait for slow ones. */
const LOOK_MS = 50;

interface RunnerOptions {
  readonly db: Database;
  readonly pool: Pool;
  readonly owner: string;
  readonly handlers: ReadonlyMap<string, JobHandler<unknown>>;
  /** How many jobs of each kind may run at once. */
  readonly concurrency: ReadonlyMap<string, number>;
  readonly leases: Leases;
  readonly leaseSeconds: number;
  readonly retryBaseSeconds: number;
  readonly log: Logger;
  /** Called when there is room for more jobs. */
  readonly onFree: () => void;
  /** Called with the kind of jobs that went back to the queue without having been started. */
  readonly onGivenBack: (kind: string) => void;
}

interface StopOptions {
  readonly graceSeconds: number;
  /** Aborted when the rest of the grace is called off. */
  readonly now: AbortSignal;
}

/** The jobs that this worker holds. */
export interface Runner {
  /** Runs claimed jobs of a kind as places become free, teams in turn; gives them back when it is stopped. */
  take(jobs: readonly ClaimedJob[]): Promise<void>;
  /** Runs a claimed job after all others have ended, and with no other beside it. */
  takeAlone(job: ClaimedJob): Promise<void>;
  /** Jobs that run, or have ended and are being stored. */
  running(): number;
  /** How many more jobs of the kind to claim now; `urgent`: some have just been enqueued. */
  room(kind: string, options: { readonly urgent: boolean }): number;
  /** A job has the worker for itself, or waits to: nothing else may be claimed. */
  isReserved(): boolean;
  /** Gives back what waits, lets jobs end for a while, then aborts them and gives back what is left; gives their kinds. */
  stop(options: StopOptions): Promise<ReadonlySet<string>>;
}

/** Runs jobs side by side, each under a lease that is kept until what became of it is stored. */
export function createRunner(options: RunnerOptions): Runner {
  const { db, pool, owner, handlers, leases, retryBaseSeconds, onFree } = options;
  const lanes = new Map([...options.concurrency].map(([kind, places]) => [kind, createLane(places)]));
  // Begun and not stored yet; of these, `active` are those that have not ended.
  const begun = new Set<Run>();
  const active = new Set<Run>();
  const giveUp = new AbortController();
  const timeoutMs = (options.leaseSeconds * 1000) / 2;
  const storing = { pool, owner, timeoutMs, log: options.log, giveUp: giveUp.signal };
  const finisher = createFinisher({ ...storing, db });
  const settled = createGate();
  const idle = createGate();
  const isDebugging = options.log.isLevelEnabled('debug');
  let isReserved = false;
  let isStopped = false;
  let looking: NodeJS.Timeout | undefined;

  const createRun = (job: ClaimedJob): Run => {
    const handler = handlers.get(job.kind);
    if (handler === undefined) throw new Error(`no handler for jobs of kind ${job.kind}`);
    return new Run({ job, handler, lease: leases.hold(job), log: options.log });
  };

  const settle = (run: Run): void => {
    run.lease.end();
    active.delete(run);
    begun.delete(run);
    settled.open();
    if (begun.size === 0) idle.open();
  };

  const countWaiting = (): number => [...lanes.values()].reduce((total, lane) => total + lane.waiting, 0);

  const waitUntilAlone = async ({ job, lease: { signal } }: Run): Promise<void> => {
    while (begun.size + countWaiting() > 1 && !signal.aborted)
      await settled.wait(Number.POSITIVE_INFINITY, signal);
    signal.throwIfAborted();
    if (!(await markAlone(db, job))) throw new LeaseLostError(job);
  };

  const acknowledgeRun = ({ handler, job, lease, log }: Run, outcome: Outcome): Promise<void> =>
    acknowledge(outcome, { db, handler, job, lease, log, giveUp: giveUp.signal });

  const begin = (run: Run): void => {
    begun.add(run);
    active.add(run);
  };

  const runAlone = async (run: Run): Promise<void> => {
    begin(run);
    const outcome = await runJob(run, { retryBaseSeconds, ready: () => waitUntilAlone(run) });
    logOutcome(outcome, run.log);
    await acknowledgeRun(run, outcome);
    isReserved = false;
    settle(run);
    onFree();
  };

  const finishSoon = (run: Run, lane: Lane): void => {
    active.delete(run);
    lane.unstored += 1;
    finisher.finish(run, () => {
      lane.unstored -= 1;
      settle(run);
      if (lane.unstored === 0) onFree();
    });
  };

  // A run that ended well and left its end to the loop frees its place at once, any other when its end is stored.
  const execute = async (run: Run, lane: Lane): Promise<void> => {
    const beganAt = performance.now();
    begin(run);
    const outcome = await runJob(run, { retryBaseSeconds });
    const isFinished = outcome.type === 'FINISHED';
    if (!isFinished || isDebugging) logOutcome(outcome, run.log);
    if (isFinished && !run.job.finished) finishSoon(run, lane);
    else {
      await acknowledgeRun(run, outcome);
      settle(run);
    }
    lane.end(performance.now() - beganAt);
    fill(lane);
  };

  const fill = (lane: Lane): void => {
    for (let run = lane.begin(); run !== undefined; run = lane.begin()) void execute(run, lane);
    if (lane.room({ urgent: false }) > 0) onFree();
  };

  /** Gives back what was never begun. */
  const returnRuns = async (runs: readonly Run[]): Promise<void> => {
    if (runs.length === 0) return;
    await giveBack(
      runs.map(({ job }) => job),
      storing,
    );
    for (const { lease } of runs) lease.end();
    for (const kind of new Set(runs.map(({ job }) => job.kind))) options.onGivenBack(kind);
  };

  const look = (): void => {
    for (const lane of lanes.values()) void returnRuns(lane.takeStuck());
    if (countWaiting() > 0) return;
    clearInterval(looking);
    looking = undefined;
  };
  const waitUntilIdle = async (ms: number, signal: AbortSignal): Promise<void> => {
    const until = performance.now() + ms;
    while (begun.size > 0 && !signal.aborted && performance.now() < until)
      await idle.wait(until - performance.now(), signal);
  };

  const handBack = async (run: Run): Promise<void> => {
    run.log.warn('a job did not end when it was aborted: it is given back while it still runs');
    await acknowledgeRun(run, { type: 'STOPPED' });
  };

  return {
    async take(jobs) {
      const runs = jobs.map(createRun);
      if (isStopped) return returnRuns(runs);
      const [first] = jobs;
      const lane = first && lanes.get(first.kind);
      if (lane === undefined) return;
      for (const run of runs) lane.add(run);
      fill(lane);
      if (lane.waiting > 0) looking ??= setInterval(look, LOOK_MS);
    },
    async takeAlone(job) {
      const run = createRun(job);
      if (isStopped) return returnRuns([run]);
      isReserved = true;
      void runAlone(run);
    },
    running: () => begun.size,
    room: (kind, how) => (isReserved || isStopped ? 0 : (lanes.get(kind)?.room(how) ?? 0)),
    isReserved: () => isReserved,
    async stop({ graceSeconds, now }) {
      isStopped = true;
      clearInterval(looking);
      const never = new AbortController().signal;
      const returned = returnRuns([...lanes.values()].flatMap((lane) => lane.takeWaiting()));
      await waitUntilIdle(graceSeconds * 1000, now);
      const aborted = [...active];
      for (const { lease } of aborted) lease.abort(new WorkerStoppedError());
      await waitUntilIdle(ABORT_MS, never);
      const timer = setTimeout(() => giveUp.abort(), ABORT_MS);
      await Promise.all([returned, ...[...active].map(handBack)]);
      while (begun.size > active.size && !giveUp.signal.aborted) await settled.wait(ABORT_MS, giveUp.signal);
      clearTimeout(timer);
      giveUp.abort();
      return new Set(aborted.map(({ job }) => job.kind));
    },
  };
}
