import type { Change, Row } from './audit.ts';

/** Where a task may go from each status; from READY and SKIPPED nowhere. */
const TASK_STEPS: Readonly<Record<string, readonly string[]>> = {
  PENDING: ['UPLOADING', 'READY', 'SKIPPED', 'FAILED', 'CANCELED'],
  UPLOADING: ['VALIDATING', 'PENDING', 'FAILED', 'CANCELED'],
  VALIDATING: ['QUEUED', 'READY', 'SKIPPED', 'PENDING', 'FAILED', 'CANCELED'],
  QUEUED: ['INDEXING', 'READY', 'SKIPPED', 'FAILED', 'CANCELED'],
  INDEXING: ['READY', 'SKIPPED', 'QUEUED', 'FAILED', 'CANCELED'],
  FAILED: ['PENDING'],
  CANCELED: ['PENDING'],
};
const TASK_BEGINNINGS = ['PENDING', 'SKIPPED', 'CANCELED'];
const TASK_JOBS = ['transfer-video', 'index-video', 'process-video'];
/** One that works on a video that is there stores nothing: it begins, and begins again, where others are stored. */
const isReindex = (row: Row | null) => row !== null && row.import_id === null && row.source_hash === null;

const IMPORT_STEPS: Readonly<Record<string, readonly string[]>> = {
  PLANNING: ['STARTED', 'CANCELED'],
  STARTED: ['SUCCEEDED', 'FAILED', 'CANCELED'],
  SUCCEEDED: ['STARTED'],
  FAILED: ['STARTED'],
  CANCELED: ['STARTED', 'CANCELED'],
};

/** What a deletion elsewhere may take from an import that has finished. */
const LOOSE_COLUMNS = ['index_id', 'integration_id'];
const TOLERANCE = 1e-9;

/** The budgets of a job: the failure or crash that uses one up ends the job, so that no row ever shows it. */
const FAILURES = 8;
const CRASHES = 3;

type Step = Change & { readonly old: Row; readonly new: Row };

const isStep = (change: Change): change is Step => change.old !== null && change.new !== null;
const hasEnded = (row: Row) => row.finished_at !== null;

/** What is wrong with the ways that tasks and imports went, and with the counts of their attempts, failures and crashes. */
export function pathFaults(changes: readonly Change[]): readonly string[] {
  return changes.flatMap((change) => {
    const faults = faultsOf(change);
    return faults.map((fault) => `${change.table.slice(0, -1)} ${change.id}: ${fault}`);
  });
}

function faultsOf(change: Change): readonly string[] {
  if (change.table === 'videos') return [];
  if (change.table === 'jobs') return isStep(change) ? budgetFaults(change.new) : [];
  if (change.op === 'DELETE') return ['was deleted'];
  if (!isStep(change)) return beginningFaults(change);
  return change.table === 'tasks' ? taskFaults(change) : importFaults(change);
}

function beginningFaults(change: Change): readonly string[] {
  if (change.table !== 'tasks') return [];
  const status = String(change.new?.status);
  const isLegal = TASK_BEGINNINGS.includes(status) || (status === 'QUEUED' && isReindex(change.new));
  return isLegal ? [] : [`began as ${status}`];
}

function taskFaults({ old, new: row }: Step): readonly string[] {
  const [before, after] = [String(old.status), String(row.status)];
  if (before === after && hasEnded(old)) return lateFaults(old, row, []);
  const isAgain = after === 'QUEUED' && ['FAILED', 'CANCELED'].includes(before) && isReindex(row);
  const isLegal = before === after || isAgain || TASK_STEPS[before]?.includes(after);
  return [...(isLegal ? [] : [`${before} to ${after} is no step`]), ...figureFaults(old, row)];
}

function figureFaults(old: Row, row: Row): readonly string[] {
  const [before, after] = [Number(old.attempts), Number(row.attempts)];
  if (after < before) return [`its attempts fell from ${before} to ${after}`];
  if (after > before + 1) return [`its attempts rose from ${before} to ${after}`];
  const fell = Number(row.fraction) < Number(old.fraction) - TOLERANCE;
  return after === before && fell
    ? [`its fraction fell from ${old.fraction} to ${row.fraction} within attempt ${after}`]
    : [];
}

function importFaults({ old, new: row }: Step): readonly string[] {
  const [before, after] = [String(old.state), String(row.state)];
  const isOpened = hasEnded(old) && !hasEnded(row);
  if (hasEnded(old) && !isOpened) return lateFaults(old, row, LOOSE_COLUMNS);
  const isLegal = before === after || IMPORT_STEPS[before]?.includes(after);
  const runs = Number(row.runs) - Number(old.runs);
  return [
    ...(isLegal ? [] : [`${before} to ${after} is no step`]),
    ...(isOpened && after !== 'STARTED' ? [`was opened again as ${after}`] : []),
    ...(runs === (isOpened ? 1 : 0) ? [] : [`its runs went from ${old.runs} to ${row.runs}`]),
  ];
}

/** Nothing changes any more about what has ended; its end written twice shows here, too. */
function lateFaults(old: Row, row: Row, loose: readonly string[]): readonly string[] {
  const changed = Object.keys(row).filter(
    (column) => !loose.includes(column) && JSON.stringify(old[column]) !== JSON.stringify(row[column]),
  );
  return changed.length === 0 ? [] : [`was changed after its end: ${changed.join(', ')}`];
}

function budgetFaults(job: Row): readonly string[] {
  if (!TASK_JOBS.includes(String(job.kind))) return [];
  return [
    ...(Number(job.failures) >= FAILURES ? [`goes on after ${job.failures} failures`] : []),
    ...(Number(job.crashes) >= CRASHES ? [`goes on after ${job.crashes} crashes`] : []),
  ];
}

/** That each task and import that has ended did so once since it was opened last, and ended at all. */
export function endFaults(changes: readonly Change[]): readonly string[] {
  const ends = new Map<string, number>();
  const last = new Map<string, Change>();
  for (const change of changes) {
    if (change.table !== 'tasks' && change.table !== 'imports') continue;
    const about = `${change.table.slice(0, -1)} ${change.id}`;
    last.set(about, change);
    const [was, is] = [
      change.old !== null && hasEnded(change.old),
      change.new !== null && hasEnded(change.new),
    ];
    if (!was && is) ends.set(about, (ends.get(about) ?? 0) + 1);
    if (was && !is) ends.set(about, (ends.get(about) ?? 0) - 1);
  }
  return [...last].flatMap(([about, { new: row }]) => {
    if (row === null) return [];
    const count = ends.get(about) ?? 0;
    if (count === 0) return [`${about}: has not ended, it is ${row.status ?? row.state}`];
    return count === 1 ? [] : [`${about}: ended ${count} times`];
  });
}
