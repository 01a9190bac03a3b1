import type { ChaosOptions } from './options.ts';
import type { RunResult } from './run-import.ts';
import type { TakeOver } from './turns.ts';

const MOST_LINES = 40;
const SLOWEST = 5;

/** Both runs side by side, as text. */
export function formatReport(options: ChaosOptions, clean: RunResult, chaos: RunResult): string {
  const ratio = (chaos.seconds / clean.seconds).toFixed(2);
  const each = (line: (run: RunResult) => string) => [line(clean), line(chaos)];
  const withJobs = ({ takeOvers }: RunResult) => takeOvers.filter(({ jobs }) => jobs > 0);
  const rows = [
    ['', 'undisturbed', 'disturbed'],
    ['videos', ...each(() => String(options.videos))],
    ['of them READY with the right bytes', ...each(({ figures }) => String(figures.ready))],
    ['seconds', clean.seconds.toFixed(1), `${chaos.seconds.toFixed(1)} (${ratio} times)`],
    ['kills of workers', ...each((run) => String(killsOf(run, 'worker')))],
    ['kills of the API', ...each((run) => String(killsOf(run, 'api')))],
    ['ends of PostgreSQL', ...each(({ away }) => String(away.length))],
    ['PostgreSQL away, longest, s', ...each(({ away }) => most(away))],
    ['attempts', ...each(({ figures }) => String(figures.attempts))],
    ['most attempts of one video', ...each(({ figures }) => String(figures.mostAttempts))],
    ['failures counted against jobs', ...each(({ figures }) => String(figures.failures))],
    ['kills that jobs were lost by', ...each((run) => String(withJobs(run).length))],
    ['jobs lost by kills', ...each((run) => String(run.takeOvers.reduce((sum, { jobs }) => sum + jobs, 0)))],
    ['back in the queue after, s', ...each((run) => spread(withJobs(run).map(({ noticed }) => noticed)))],
    [
      'all claimed again after, s',
      ...each((run) => spread(withJobs(run).flatMap(({ resumed }) => resumed ?? []))),
    ],
    [
      'violations',
      ...each(({ violations }) => (violations.length === 0 ? 'none' : String(violations.length))),
    ],
  ];
  return [formatTable(rows), ...detailsOf('undisturbed', clean), ...detailsOf('disturbed', chaos)].join('\n');
}

const killsOf = ({ takeOvers }: RunResult, role: string) =>
  takeOvers.filter(({ kill }) => kill.role === role).length;

/** Every kill in a line of its own: who, how many jobs, seconds until they were back and until they were claimed. */
export function formatTakeOvers(takeOvers: readonly TakeOver[]): string {
  const lines = takeOvers.map(({ kill, jobs, noticed, resumed }) =>
    [kill.at.toISOString(), kill.name, jobs, noticed.toFixed(2), resumed?.toFixed(2) ?? ''].join('\t'),
  );
  return `${['at', 'killed', 'jobs', 'back after s', 'claimed after s'].join('\t')}\n${lines.join('\n')}\n`;
}

function detailsOf(name: string, { violations, complaints, takeOvers }: RunResult): readonly string[] {
  const slowest = takeOvers
    .filter(({ jobs }) => jobs > 0)
    .sort((one, other) => other.noticed - one.noticed)
    .slice(0, SLOWEST)
    .map(({ kill, jobs, noticed }) => `${kill.name} with ${jobs} jobs after ${noticed.toFixed(1)} s`);
  return [
    ...section(`Slowest to be noticed, ${name}`, slowest),
    ...section(
      `Logged as errors, ${name}`,
      [...complaints].map(([text, times]) => `${times} × ${text}`),
    ),
    ...section(`Violations, ${name}`, violations),
  ];
}

function section(title: string, lines: readonly string[]): readonly string[] {
  if (lines.length === 0) return [];
  const more = lines.length - MOST_LINES;
  return [
    '',
    `${title}:`,
    ...lines.slice(0, MOST_LINES).map((line) => `  ${line}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

/** The middle one, the 95th of a hundred and the largest. */
function spread(figures: readonly number[]): string {
  if (figures.length === 0) return '-';
  const sorted = [...figures].sort((one, other) => one - other);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]?.toFixed(1);
  return `${at(0.5)} / ${at(0.95)} / ${at(1)}`;
}

const most = (figures: readonly number[]) => (figures.length === 0 ? '-' : Math.max(...figures).toFixed(1));

function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row.map((text, column) =>
        column === 0 ? text.padEnd(widths[0] ?? 0) : text.padStart(widths[column] ?? 0),
      ),
    )
    .map((row) => row.join('  ').trimEnd())
    .join('\n');
}
