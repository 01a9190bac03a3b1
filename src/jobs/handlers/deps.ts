import type { ProgressReporter } from '../../events/progress.ts';
import type { MediaPool } from '../../media/pool.ts';
import type { WorkPool } from '../../media/work-pool.ts';
import type { Services } from '../../services/deps.ts';
import type { Storage } from '../../storage/adapter.ts';

/** What handlers work with; built once, in app.ts. */
export interface HandlerDeps {
  readonly services: Services;
  readonly storage: Storage;
  readonly media: MediaPool;
  /** Makes products of stored files. */
  readonly work: WorkPool;
  readonly progress: ProgressReporter;
}
