import type { StageName, StageState, StoredError, StoredStage } from '../db/tables/tasks.ts';

/** The stages of every task, in their order, and how much of the whole each makes up. */
const STAGES: readonly { readonly name: StageName; readonly share: number }[] = [
  { name: 'UPLOAD', share: 0.9 },
  { name: 'VALIDATION', share: 0.08 },
];

/** The stages of a task that has not begun. */
export function waitingStages(): readonly StoredStage[] {
  return STAGES.map(({ name }) => ({ name, state: 'WAITING', fraction: 0 }));
}

/** The fraction of the whole task, 0 to 1, when a stage has come this far and those before it are done; below 1 until the task has ended. */
export function overallFraction(stage: StageName, stageFraction: number): number {
  let before = 0;
  for (const { name, share } of STAGES) {
    if (name === stage) return before + share * Math.min(1, Math.max(0, stageFraction));
    before += share;
  }
  return before;
}

/** How much of UPLOAD is done when a client has sent all bytes of its upload; the rest is reading and moving them. */
export const RECEIVED_SHARE = 0.9;

/** The fraction of a task whose stages up to VALIDATION are done and that waits for its index job, or runs in it. */
export const STORED_FRACTION = STAGES.reduce((sum, { share }) => sum + share, 0);

const replace = (
  stages: readonly StoredStage[],
  name: StageName,
  change: (stage: StoredStage) => StoredStage,
) => stages.map((stage) => (stage.name === name ? change(stage) : stage));

/** The stages when this one begins; an earlier attempt's times and error are forgotten. */
export function beginStage(
  stages: readonly StoredStage[],
  name: StageName,
  now: Date,
): readonly StoredStage[] {
  return replace(stages, name, () => ({ name, state: 'RUNNING', fraction: 0, startedAt: now.toISOString() }));
}

/** The stages when this one ends: DONE, or FAILED with its error. */
export function endStage(
  stages: readonly StoredStage[],
  name: StageName,
  end: { readonly state: 'DONE' | 'FAILED'; readonly now: Date; readonly error?: StoredError },
): readonly StoredStage[] {
  return replace(stages, name, (stage) => ({
    ...stage,
    state: end.state,
    fraction: end.state === 'DONE' ? 1 : stage.fraction,
    finishedAt: end.now.toISOString(),
    ...(end.error ? { error: end.error } : {}),
  }));
}

/** The stages of a task that goes back to wait: what ran waits again, what is done stays done. */
export function rewindStages(stages: readonly StoredStage[]): readonly StoredStage[] {
  return stages.map((stage) =>
    stage.state === 'RUNNING' ? { name: stage.name, state: 'WAITING', fraction: 0 } : stage,
  );
}

/** The stages of a task that ended: what ran ends as `running` says, what had not begun is SKIPPED. */
export function closeStages(
  stages: readonly StoredStage[],
  running: Extract<StageState, 'FAILED' | 'CANCELED' | 'SKIPPED'>,
  end: { readonly now: Date; readonly error?: StoredError },
): readonly StoredStage[] {
  return stages.map((stage): StoredStage => {
    if (stage.state === 'WAITING') return { ...stage, state: 'SKIPPED' };
    if (stage.state !== 'RUNNING') return stage;
    const error = running === 'FAILED' && end.error ? { error: end.error } : {};
    return { ...stage, state: running, finishedAt: end.now.toISOString(), ...error };
  });
}
