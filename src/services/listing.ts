import type { ListingPage, ObjectSource } from '../sources/source.ts';

/** A listing that goes on from page to page, the next one on its way while one is judged. */
export interface Listing {
  isOver(): boolean;
  /**
   * The next page; it must not be asked for when the listing is over.
   * @throws {SourceError}
   */
  next(): Promise<ListingPage>;
  /** Gives up the page that is on its way. */
  end(): void;
}

/** Lists from a position on. */
export function createListing(
  source: ObjectSource,
  options: {
    readonly prefix: string | null;
    readonly position: string | null;
    readonly signal: AbortSignal;
  },
): Listing {
  const { prefix, signal } = options;
  const controller = new AbortController();
  const onAbort = () => controller.abort(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  let position = options.position;
  let isOver = false;
  let ahead: Promise<ListingPage> | null = null;

  const request = () => {
    const page = source.list({ prefix, position, signal: controller.signal });
    // Who asks for the page is told; nobody may.
    page.catch(() => {});
    return page;
  };

  return {
    isOver: () => isOver,
    async next() {
      const page = await (ahead ?? request());
      position = page.next;
      isOver = page.next === null;
      ahead = isOver ? null : request();
      return page;
    },
    end() {
      signal.removeEventListener('abort', onAbort);
      controller.abort();
    },
  };
}
