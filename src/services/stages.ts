import { PRODUCT_NAMES, type ProductName } from '../db/tables/products.ts';
import type { StageName, StageState, StoredError, StoredStage } from '../db/tables/tasks.ts';

/** How much of the whole is done when the bytes are stored and valid, of a task that makes nothing of them, and of one that does. */
const STORED_SHARES = { plain: 0.98, withProducts: 0.49 } as const;
/** How much of that is which stage. */
const STORING = { UPLOAD: 0.9 / 0.98, VALIDATION: 0.08 / 0.98 } as const;
/** What all products end at: the rest is the end of the task. */
const MADE_SHARE = 0.98;
/** How long products take, compared with each other. */
const WEIGHTS: Readonly<Record<ProductName, number>> = {
  THUMBNAILS: 2,
  STREAM: 3,
  SCENES: 2,
  FINGERPRINT: 1,
  QUALITY: 2,
  SCAN_TYPE: 1,
};

type Named = Pick<StoredStage, 'name'>;

const waiting = (name: StageName): StoredStage => ({ name, state: 'WAITING', fraction: 0 });

/** The stages of a task that has not begun: it stores and checks a video and makes products of it. */
export function waitingStages(products: readonly ProductName[] = []): readonly StoredStage[] {
  return [waiting('UPLOAD'), waiting('VALIDATION'), ...productStages(products)];
}

/** The stages of a task that makes products of a video that is there, each once and in their order. */
export function productStages(products: readonly ProductName[]): readonly StoredStage[] {
  return PRODUCT_NAMES.filter((name) => products.includes(name)).map(waiting);
}

/** The same stages, none of them begun. */
export function restartStages(stages: readonly StoredStage[]): readonly StoredStage[] {
  return stages.map(({ name }) => waiting(name));
}

/** What a task with these stages is to make of its video. */
export function productsOf(stages: readonly Named[]): readonly ProductName[] {
  return PRODUCT_NAMES.filter((product) => stages.some(({ name }) => name === product));
}

/** Whether a task with these stages stores nothing: it makes products of a video that is there. */
export function isReindex(stages: readonly Named[]): boolean {
  return !stages.some(({ name }) => name === 'UPLOAD');
}

/** How much of the whole task each of its stages makes up; all together less than 1, which is the end of it. */
function sharesOf(stages: readonly Named[]): ReadonlyMap<StageName, number> {
  const products = productsOf(stages);
  const stored = storedFraction(stages);
  const weight = products.reduce((sum, product) => sum + WEIGHTS[product], 0);
  return new Map<StageName, number>([
    ['UPLOAD', STORING.UPLOAD * stored],
    ['VALIDATION', STORING.VALIDATION * stored],
    ...products.map((product) => [product, ((MADE_SHARE - stored) * WEIGHTS[product]) / weight] as const),
  ]);
}

/** The fraction of the whole task, 0 to 1, when a stage has come this far and those before it are done; below 1 until the task has ended. */
export function overallFraction(
  stages: readonly Named[],
  stage: 'UPLOAD' | 'VALIDATION',
  stageFraction: number,
): number {
  const shares = sharesOf(stages);
  const before = stage === 'UPLOAD' ? 0 : (shares.get('UPLOAD') ?? 0);
  return before + (shares.get(stage) ?? 0) * clamp(stageFraction);
}

/** Fractions of stages that run, 0 to 1. */
export type StageFractions = Readonly<Partial<Record<StageName, number>>>;

/** The fraction of the whole task, 0 to 1, when its bytes are stored and its products have come this far; those that failed are over, too. */
export function indexingFraction(stages: readonly StoredStage[], running: StageFractions): number {
  const shares = sharesOf(stages);
  let fraction = storedFraction(stages);
  for (const { name, state } of stages) {
    if (name === 'UPLOAD' || name === 'VALIDATION') continue;
    const done = state === 'DONE' || state === 'FAILED' ? 1 : clamp(running[name] ?? 0);
    fraction += (shares.get(name) ?? 0) * done;
  }
  return Math.min(MADE_SHARE, fraction);
}

/** What is known of the stages that run. */
interface LiveStages {
  readonly stage: StageName;
  readonly stageFraction: number;
  /** Of each of them, where several run at once. */
  readonly stageFractions: StageFractions | null;
}

/** The stages, those that run as far as they have come by now. */
export function advanceStages(
  stages: readonly StoredStage[],
  { stage: latest, stageFraction, stageFractions }: LiveStages,
): readonly StoredStage[] {
  const fractions: StageFractions = stageFractions ?? { [latest]: stageFraction };
  return stages.map((stage) =>
    stage.state === 'RUNNING'
      ? { ...stage, fraction: Math.max(stage.fraction, fractions[stage.name] ?? 0) }
      : stage,
  );
}

const clamp = (fraction: number) => Math.min(1, Math.max(0, fraction));

/** How much of UPLOAD is done when a client has sent all bytes of its upload; the rest is reading and moving them. */
export const RECEIVED_SHARE = 0.9;

/** The fraction of a task whose stages up to VALIDATION are done and that waits for its index job, or has begun in it. */
export function storedFraction(stages: readonly Named[]): number {
  if (isReindex(stages)) return 0;
  return productsOf(stages).length === 0 ? STORED_SHARES.plain : STORED_SHARES.withProducts;
}

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
  fraction = 0,
): readonly StoredStage[] {
  return replace(stages, name, () => ({ name, state: 'RUNNING', fraction, startedAt: now.toISOString() }));
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

const isProduct = (name: StageName) => PRODUCT_NAMES.some((product) => product === name);

/**
 * The stages of a task that goes back to wait: what ran waits again, what is stored stays done. Products are made together
 * or not at all.
 */
export function rewindStages(stages: readonly StoredStage[]): readonly StoredStage[] {
  return stages.map((stage) =>
    stage.state === 'RUNNING' || isProduct(stage.name) ? waiting(stage.name) : stage,
  );
}

/** The stages of a task that ended: what ran ends as `running` says, as far as it had come; what had not begun is SKIPPED. */
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
