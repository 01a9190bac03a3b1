import type { ProgressReporter } from '../../events/progress.ts';
import type { MediaPool } from '../../media/pool.ts';
import type { WorkListener, WorkOptions, WorkSettings } from '../../media/products.ts';
import type { Services } from '../../services/deps.ts';
import type { Storage } from '../../storage/adapter.ts';

/** Makes products of stored files. */
export interface ProductWork {
  /**
   * Makes products of one file, telling the listener how each comes along and ends.
   * Rejects with the signal's reason, or where something is wrong that has nothing to do with the file.
   * @param options size in bytes and duration in seconds, of the file
   */
  work(
    options: WorkOptions & { readonly signal: AbortSignal; readonly size: number; readonly duration: number },
    listener: WorkListener,
  ): Promise<void>;
}

/** What handlers work with; built once, in app.ts. */
export interface HandlerDeps {
  readonly services: Services;
  readonly storage: Storage;
  readonly media: MediaPool;
  readonly work: ProductWork;
  /** How products are made where an index does not say otherwise. */
  readonly workSettings: WorkSettings;
  readonly progress: ProgressReporter;
}
