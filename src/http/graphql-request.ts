import type { Viewer } from '../services/viewer.ts';
import type { KeyWatch } from './key-watch.ts';
import type { RequestContext } from './yoga.ts';

/** What is taken off the line of a client without a key, so that its connection can be used again; no ordinary request is larger. */
export const MAX_SMALL_BODY_BYTES = 64 * 1024;

/** How a body is sent is the server's own business, not that of the answer. */
export const FRAMING: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding']);

/** What Yoga is told of a request. */
export function requestContext({
  key,
  viewer,
  keys,
  tellRetryAfter,
}: {
  readonly key: string;
  readonly viewer: Viewer;
  readonly keys: KeyWatch;
  readonly tellRetryAfter: (seconds: number) => void;
}): RequestContext {
  return { viewer, watchViewer: (tell) => keys.watch(key, tell), tellRetryAfter };
}
