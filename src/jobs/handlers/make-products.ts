import type { Product, ProductOutcome, WorkListener, WorkSettings } from '../../media/products.ts';
import { type TaskRow, taskPrefix } from '../../services/end-task.ts';
import type { MadeProducts } from '../../services/publish-products.ts';
import { productsOf } from '../../services/stages.ts';
import type { ClaimedJob } from '../job.ts';
import { adoptProduct } from './adopt-product.ts';
import type { HandlerDeps } from './deps.ts';
import { createStageReport, type StageReport } from './stage-report.ts';
import { watchClaim } from './watch-claim.ts';

interface MakeOptions {
  readonly job: ClaimedJob;
  readonly task: TaskRow;
  readonly signal: AbortSignal;
}

/**
 * Makes the products of a task in INDEXING. Their files are kept below a prefix of this claim's own; nothing refers to them
 * before the caller publishes what this answers. After an error none of them is left.
 * @throws {LeaseLostError} soon after the claim was taken away: the task was canceled, or its video deleted
 * @throws {StorageFullError} when there is no room
 * @throws {StorageError} when the storage cannot be read or written
 */
export async function makeProducts(
  deps: HandlerDeps,
  { job, task, signal }: MakeOptions,
): Promise<MadeProducts> {
  const { services, storage } = deps;
  const { storageKey } = task;
  if (storageKey === null) throw new Error(`task ${task.id} is not stored`);
  const settings = await settingsOf(deps, task);
  const prefix = `${taskPrefix(task)}/${job.claim}`;
  const claim = watchClaim(services, job, signal);
  const report = createStageReport(deps, { job, task, onLost: claim.lose });
  try {
    return await storage.withWorkFolder(async (folder, room) => {
      const all = AbortSignal.any([claim.signal, room]);
      const run = (path: string) =>
        workOn(deps, { task, path, folder, prefix, settings, report, signal: all });
      return await storage.withLocalFile(storageKey, run, { signal: all });
    });
  } catch (error) {
    await storage.delete(prefix).catch((err: unknown) => {
      services.log.warn({ err, prefix }, 'what was made of a video could not be removed; that is done later');
    });
    throw error;
  } finally {
    claim.end();
    await report.end();
  }
}

/** An index's own settings go before the server's. */
async function settingsOf({ services, workSettings }: HandlerDeps, task: TaskRow): Promise<WorkSettings> {
  const index = await services.db.query.indexes.findFirst({
    where: { id: task.indexId },
    columns: { pictureFormat: true, ladder: true },
  });
  return {
    pictureFormat: index?.pictureFormat ?? workSettings.pictureFormat,
    ladder: index?.ladder ?? workSettings.ladder,
  };
}

interface Work {
  readonly task: TaskRow;
  readonly path: string;
  readonly folder: string;
  readonly prefix: string;
  readonly settings: WorkSettings;
  readonly report: StageReport;
  readonly signal: AbortSignal;
}

async function workOn({ storage, work }: HandlerDeps, given: Work): Promise<MadeProducts> {
  const { task, path, folder, prefix, settings, report } = given;
  const stop = new AbortController();
  const signal = AbortSignal.any([given.signal, stop.signal]);
  const products = productsOf(task.stages);
  const results: Record<string, unknown> = {};
  let adopting: Promise<void> = Promise.resolve();
  const take = async (outcome: ProductOutcome) => {
    if ('error' in outcome) return report.fail(outcome.product, outcome.error);
    if (signal.aborted) return;
    results[outcome.product] = await adoptProduct(storage, outcome, { folder, prefix });
    report.done(outcome.product);
  };
  const listener: WorkListener = {
    onProgress: report.progress,
    onOutcome(outcome) {
      // What failed stays where it was.
      report.progress(outcome.product, 'error' in outcome ? 0 : 1);
      // One after the other: they are on the same disk, or behind the same connection.
      adopting = adopting.then(() => take(outcome)).catch((error: unknown) => stop.abort(error));
    },
  };
  const { size, duration } = factsOf(task);
  try {
    await work.work({ path, folder, products, settings, signal, size, duration }, listener);
  } finally {
    await adopting;
    // Whatever work rejected with is a consequence of this.
    stop.signal.throwIfAborted();
  }
  signal.throwIfAborted();
  const ends = report.ends();
  assertAll(products, ends);
  // Each entry was made from the outcome of its product.
  return { results: results as MadeProducts['results'], ends };
}

function factsOf({ id, systemMetadata }: TaskRow) {
  if (systemMetadata === null) throw new Error(`task ${id} has no facts`);
  return systemMetadata;
}

function assertAll(products: readonly Product[], ends: MadeProducts['ends']): void {
  const missing = products.filter((product) => ends[product] === undefined);
  if (missing.length > 0) throw new Error(`nothing came of ${missing.join(', ')}`);
}
