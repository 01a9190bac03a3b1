import type { ProgressReporter } from '../../events/progress.ts';
import type { MediaPool } from '../../media/pool.ts';
import type { WorkSettings } from '../../media/products.ts';
import type { WorkPool } from '../../media/work-pool.ts';
import type { Services } from '../../services/deps.ts';
import type { Storage } from '../../storage/adapter.ts';

/** Makes products of stored files. */
export type ProductWork = Pick<WorkPool, 'work'>;

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
