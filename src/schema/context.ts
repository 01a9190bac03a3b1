import type { Database } from '../db/client.ts';
import type { Hub } from '../events/hub.ts';
import type { Cursors } from '../services/cursors.ts';
import type { Services } from '../services/deps.ts';
import type { ImportFeeds } from '../services/import-feed.ts';
import type { FigureReader } from '../services/import-figures.ts';
import type { ImportSnapshots } from '../services/import-snapshots.ts';
import type { MediaUrls } from '../services/media-urls.ts';
import type { RateLimit } from '../services/rate-limit.ts';
import type { TaskFeeds } from '../services/task-feed.ts';
import type { Viewer } from '../services/viewer.ts';

/** What every resolver works with. */
export interface Context {
  readonly viewer: Viewer;
  /** Tells again and again who is behind the viewer's key by now, null for nobody. @returns what ends that */
  readonly watchViewer: WatchViewer;
  readonly db: Database;
  readonly services: Services;
  readonly figures: FigureReader;
  readonly hub: Hub;
  readonly feeds: ImportFeeds;
  readonly snapshots: ImportSnapshots;
  readonly cursors: Cursors;
  readonly mediaUrls: MediaUrls;
  readonly rateLimit: RateLimit;
  /** Has the answer say, beside what is in it, in how many seconds to try again; only where the transport can. */
  readonly tellRetryAfter?: (seconds: number) => void;
  readonly taskFeeds: TaskFeeds;
}

/** Keeps an eye on the key behind something that stays open. */
export type WatchViewer = (tell: (viewer: Viewer | null) => void) => () => void;
