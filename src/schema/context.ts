import type { Database } from '../db/client.ts';
import type { Hub } from '../events/hub.ts';
import type { Cursors } from '../services/cursors.ts';
import type { Services } from '../services/deps.ts';
import type { FigureReader } from '../services/import-figures.ts';
import type { MediaUrls } from '../services/media-urls.ts';
import type { RateLimit } from '../services/rate-limit.ts';
import type { Viewer } from '../services/viewer.ts';

/** What every resolver works with. */
export interface Context {
  readonly viewer: Viewer;
  readonly db: Database;
  readonly services: Services;
  readonly figures: FigureReader;
  readonly hub: Hub;
  readonly cursors: Cursors;
  readonly mediaUrls: MediaUrls;
  readonly rateLimit: RateLimit;
  /** Has the answer say, beside what is in it, in how many seconds to try again; only where the transport can. */
  readonly tellRetryAfter?: (seconds: number) => void;
}
