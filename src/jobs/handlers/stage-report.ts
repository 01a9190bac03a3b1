import type { StoredError } from '../../db/tables/tasks.ts';
import type { Product, ProductError } from '../../media/products.ts';
import type { TaskRow } from '../../services/end-task.ts';
import type { ProductEnd } from '../../services/publish-products.ts';
import { noteStages } from '../../services/stage-changes.ts';
import { indexingFraction } from '../../services/stages.ts';
import { LeaseLostError } from '../errors.ts';
import type { ClaimedJob } from '../job.ts';
import type { HandlerDeps } from './deps.ts';
import { reporterOf } from './reporter.ts';

/** Stages that begin or end at about the same time are noted together; in milliseconds. */
const NOTE_MS = 150;
/** After one that failed. */
const NOTE_AGAIN_MS = 1_000;

/** Tells how the products of a task come along. */
export interface StageReport {
  /** @param fraction 0 to 1; the first call begins the product's stage */
  readonly progress: (product: Product, fraction: number) => void;
  done(product: Product): void;
  fail(product: Product, error: ProductError): void;
  /** How each product ended that has. */
  ends(): Readonly<Partial<Record<Product, ProductEnd>>>;
  /** Notes nothing more; waits for what is being noted. */
  end(): Promise<void>;
}

interface ReportOptions {
  readonly job: ClaimedJob;
  readonly task: TaskRow;
  /** Called when it turns out that another worker has the job. */
  readonly onLost: () => void;
}

/**
 * Reports fractions as often as they come, for the reporter keeps the latest; and notes in the task's row which stages have begun
 * and ended, in a transaction for all of a moment.
 */
export function createStageReport(
  { services, progress }: Pick<HandlerDeps, 'services' | 'progress'>,
  { job, task, onLost }: ReportOptions,
): StageReport {
  const fractions = new Map<Product, number>();
  const begins = new Map<Product, Date>();
  const ends = new Map<Product, ProductEnd>();
  let begun = new Map<Product, Date>();
  let ended = new Map<Product, ProductEnd>();
  let timer: NodeJS.Timeout | null = null;
  let noting: Promise<void> | null = null;
  let isOver = false;

  const noteLater = (ms: number) => {
    if (timer !== null || noting !== null || isOver) return;
    timer = setTimeout(() => {
      timer = null;
      noting = note().finally(() => {
        noting = null;
        if (begun.size + ended.size > 0) noteLater(NOTE_AGAIN_MS);
      });
    }, ms);
  };
  const note = async () => {
    const changes = { begun, ends: ended };
    [begun, ended] = [new Map(), new Map()];
    try {
      await noteStages(services, job, changes);
    } catch (error) {
      if (error instanceof LeaseLostError) return onLost();
      services.log.warn(
        { err: error, taskId: task.id },
        'how far a task is was not noted; it is tried again',
      );
      begun = new Map([...changes.begun, ...begun]);
      ended = new Map([...changes.ends, ...ended]);
    }
  };
  const finish = (product: Product, error?: StoredError) => {
    const start = begins.get(product);
    const end: ProductEnd = {
      ...(start === undefined ? {} : { begun: start }),
      at: new Date(),
      ...(error === undefined ? {} : { error, fraction: fractions.get(product) ?? 0 }),
    };
    ends.set(product, end);
    ended.set(product, end);
    tell();
    noteLater(NOTE_MS);
  };
  const tell = () => {
    const first = [...fractions].find(([product]) => !ends.has(product));
    if (first === undefined || isOver) return;
    const whole = [...ends.keys()].map((product) => [product, 1] as const);
    // Those that have ended are told, too: until that is noted they are shown as running, and would go back to where they began.
    progress.report({
      ...reporterOf(job, task),
      stage: first[0],
      stageFraction: first[1],
      stageFractions: Object.fromEntries(fractions),
      fraction: indexingFraction(task.stages, Object.fromEntries([...fractions, ...whole])),
      bytesDone: task.bytesDone,
      bytesTotal: task.bytesTotal,
    });
  };
  return {
    progress(product, fraction) {
      if (ends.has(product)) return;
      if (!fractions.has(product)) {
        const now = new Date();
        begins.set(product, now);
        begun.set(product, now);
        noteLater(NOTE_MS);
      }
      fractions.set(product, Math.max(fractions.get(product) ?? 0, fraction));
      tell();
    },
    done: (product) => finish(product),
    fail: (product, { code, message }) => finish(product, { code, message, retryable: isRetryable(code) }),
    ends: () => Object.fromEntries(ends),
    async end() {
      isOver = true;
      if (timer !== null) clearTimeout(timer);
      await noting;
    },
  };
}

/** What ended the process that read the file may not do so again; what the file is stays the same. */
const isRetryable = (code: ProductError['code']) =>
  code === 'PROCESSING_CRASHED' || code === 'PROCESSING_TIMEOUT';
