import { lstat } from 'node:fs/promises';
import { describeAll } from './folder-describe.ts';
import { errorOfFolder } from './folder-errors.ts';
import { pathOf, type RawPath, rawOf } from './folder-path.ts';
import { readPosition, writePosition } from './folder-position.ts';
import { waitFor } from './folder-wait.ts';
import { createWalk, type Step, type Walk } from './folder-walk.ts';
import { unavailable } from './http-errors.ts';
import type { ListingPage, ObjectSource } from './source.ts';

const MAX_OBJECTS = 1_000;

/** A page ends after this even if it is not full: whoever asks for pages notes how far it came. */
const MAX_PAGE_MS = 2_000;

/** How long a walk is kept for its next page: what came to its folders meanwhile is not seen. */
const MAX_WAIT_MS = 60_000;

type ListOptions = Parameters<ObjectSource['list']>[0];

/** A walk that waits for its next page, so that the names on its way need not be read again. */
interface Waiting {
  readonly walk: Walk;
  readonly root: RawPath;
  /** Device and number of the folder. */
  readonly identity: string;
  readonly prefix: string | null;
  readonly position: string;
}

/**
 * Makes `ObjectSource.list` for a folder.
 * @param resolve gives the folder's real path, or throws the SourceError that tells why not
 * @param options.maxPageMs how long a page may take before it ends as it is, in milliseconds; 2 s unless given
 */
export function createListing(
  resolve: (signal: AbortSignal) => Promise<RawPath>,
  { maxPageMs = MAX_PAGE_MS }: { readonly maxPageMs?: number } = {},
): ObjectSource['list'] {
  let waiting: Waiting | null = null;
  let forgetting: NodeJS.Timeout | undefined;

  function keep(kept: Waiting | null): void {
    clearTimeout(forgetting);
    waiting = kept;
    if (kept !== null) forgetting = setTimeout(keep, MAX_WAIT_MS, null).unref();
  }

  async function begin(root: RawPath, { prefix, position, signal }: ListOptions) {
    const found = waiting;
    keep(null);
    const fits = found?.root === root && found.prefix === prefix && found.position === position;
    if (found !== null && fits) return found;
    const after = position === null ? null : readPosition(position);
    const walk = createWalk({ root, prefix: rawOf(prefix ?? ''), after });
    return { walk, root, prefix, identity: await identityOf(root, signal) };
  }

  return async (options) => {
    const { signal } = options;
    const root = await resolve(signal);
    const at = await begin(root, options);
    const { steps, last } = await collect(at.walk, { end: performance.now() + maxPageMs, signal });
    const objects = await describeAll(root, { steps, signal });
    if ((await identityOf(root, signal)) !== at.identity) throw takenAway();
    const next = last === null ? null : writePosition(last);
    if (next !== null) keep({ ...at, position: next });
    return { objects, next } satisfies ListingPage;
  };
}

/** Takes the steps of a page; `last` is where the next one begins, null if there is none. */
async function collect(walk: Walk, { end, signal }: { readonly end: number; readonly signal: AbortSignal }) {
  const steps: Step[] = [];
  for (;;) {
    const step = await walk.next(signal);
    if (step === null) return { steps, last: null };
    if (step.isListed) steps.push(step);
    if (steps.length === MAX_OBJECTS || performance.now() >= end) return { steps, last: step.path };
  }
}

/** What tells a folder from another one at its path: a share that is away leaves an empty one behind. */
async function identityOf(root: RawPath, signal: AbortSignal): Promise<string> {
  try {
    const { dev, ino } = await waitFor(lstat(pathOf(root), { bigint: true }), { signal });
    return `${dev}:${ino}`;
  } catch (error) {
    signal.throwIfAborted();
    throw errorOfFolder(error, 'folder');
  }
}

const takenAway = () =>
  unavailable(
    'The folder was replaced or taken away while it was being listed; check the share that it is on.',
    {
      retryable: true,
    },
  );
