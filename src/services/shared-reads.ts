/** Reads for all who ask for the same at once. */
export type SharedReads<Result> = (key: string, read: () => Promise<Result>) => Promise<Result>;

/**
 * Lets those who ask with the same key in one turn of the event loop share what one of them reads. None gets what was
 * read before it asked: who was woken by a change must see it.
 */
export function createSharedReads<Result>(): SharedReads<Result> {
  const asked = new Map<string, Promise<Result>>();
  return (key, read) => {
    const known = asked.get(key);
    if (known !== undefined) return known;
    const result = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      asked.delete(key);
      return read();
    });
    asked.set(key, result);
    return result;
  };
}
