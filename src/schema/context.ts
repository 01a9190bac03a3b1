import type { Database } from '../db/client.ts';
import type { Hub } from '../events/hub.ts';
import type { Cursors } from '../services/cursors.ts';
import type { Services } from '../services/deps.ts';
import type { ImportFeeds } from '../services/import-feed.ts';
import type { FigureReader } from '../services/import-figures.ts';
import type { MediaUrls } from '../services/media-urls.ts';
import type { Viewer } from '../services/viewer.ts';

/** What every resolver works with. */
export interface Context {
  readonly viewer: Viewer;
  readonly db: Database;
  readonly services: Services;
  readonly figures: FigureReader;
  readonly hub: Hub;
  readonly feeds: ImportFeeds;
  readonly cursors: Cursors;
  readonly mediaUrls: MediaUrls;
}
