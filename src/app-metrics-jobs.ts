import type { Metric, Sample } from './app-metrics.ts';
import type { JobHandler, JobHandlers } from './jobs/handler.ts';
import { normalizeError, type Outcome } from './jobs/outcome.ts';

const OUTCOMES = ['finished', 'retry', 'failed', 'waiting', 'stopped', 'lease_lost'];
const FAILURES = ['transient', 'permanent', 'crash', 'unexpected'];

/** The runs of jobs of one kind. */
interface Runs {
  running: number;
  started: number;
  readonly ended: Map<string, number>;
  readonly failures: Map<string, number>;
}

/** What becomes of the jobs that this process runs. */
export interface JobFigures {
  /** The same handlers, counted. */
  watch(handlers: JobHandlers): JobHandlers;
  /** How many runs of a kind have failed, whether they will be tried again or not. */
  failuresOf(kind: string): number;
  readonly metrics: readonly Metric[];
}

/** Counts runs where handlers are called: the job loop knows nothing of it. */
export function createJobFigures(): JobFigures {
  const kinds = new Map<string, Runs>();
  const samples = (read: (runs: Runs) => Iterable<Sample>): readonly Sample[] =>
    [...kinds].flatMap(([kind, runs]) =>
      [...read(runs)].map(({ labels, value }) => ({ labels: { kind, ...labels }, value })),
    );
  const by = (label: string, counts: ReadonlyMap<string, number>) =>
    [...counts].map(([name, value]) => ({ labels: { [label]: name }, value }));
  return {
    watch: (handlers) =>
      handlers.map((handler) => {
        const runs = createRuns();
        kinds.set(handler.definition.kind, runs);
        return watchHandler(handler, runs);
      }),
    failuresOf: (kind) => [...(kinds.get(kind)?.failures.values() ?? [])].reduce((sum, n) => sum + n, 0),
    metrics: [
      {
        name: 'sluice_jobs_running',
        help: 'Jobs that this process is running.',
        type: 'gauge',
        labels: ['kind'],
        read: () => samples(({ running }) => [{ value: running }]),
      },
      {
        name: 'sluice_job_runs_started_total',
        help: 'Claimed jobs that this process has begun to run.',
        type: 'counter',
        labels: ['kind'],
        read: () => samples(({ started }) => [{ value: started }]),
      },
      {
        name: 'sluice_job_runs_ended_total',
        help: 'Runs of jobs by what became of them; retry: failed and will be tried again, failed: for good.',
        type: 'counter',
        labels: ['kind', 'outcome'],
        read: () => samples(({ ended }) => by('outcome', ended)),
      },
      {
        name: 'sluice_job_run_failures_total',
        help: 'Runs of jobs that failed, by the kind of the failure.',
        type: 'counter',
        labels: ['kind', 'failure'],
        read: () => samples(({ failures }) => by('failure', failures)),
      },
    ],
  };
}

const createRuns = (): Runs => ({
  running: 0,
  started: 0,
  ended: new Map(OUTCOMES.map((outcome) => [outcome, 0])),
  failures: new Map(FAILURES.map((failure) => [failure, 0])),
});

const raise = (counts: Map<string, number>, name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);

function watchHandler(handler: JobHandler<unknown>, runs: Runs): JobHandler<unknown> {
  const { maxFailures } = handler.definition;
  return {
    ...handler,
    async run(job, options) {
      runs.running += 1;
      runs.started += 1;
      let outcome: Outcome = { type: 'FINISHED' };
      try {
        await handler.run(job, options);
      } catch (error) {
        // As the loop does it; when the job is tried again is its business.
        outcome = normalizeError(error, { job, maxFailures, retryBaseSeconds: 0, signal: options.signal });
        throw error;
      } finally {
        runs.running -= 1;
        raise(runs.ended, outcome.type.toLowerCase());
        if ('failure' in outcome) raise(runs.failures, outcome.failure.kind.toLowerCase());
      }
    },
  };
}
