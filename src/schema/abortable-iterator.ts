/**
 * An iterator over what a generator yields that can be ended while the generator waits. A generator alone keeps a `return` until
 * its next value comes, which for a subscription may be never.
 * @param run makes the generator; its signal is aborted when the iterator is ended
 */
export function abortableIterator<T>(
  run: (signal: AbortSignal) => AsyncGenerator<T>,
): AsyncIterableIterator<T> {
  const controller = new AbortController();
  const generator = run(controller.signal);
  const end = { done: true, value: undefined } as const;
  return {
    async next() {
      if (controller.signal.aborted) return end;
      try {
        return await generator.next();
      } catch (error) {
        if (controller.signal.aborted) return end;
        throw error;
      }
    },
    async return() {
      controller.abort();
      // The generator's own wait has just been ended by the signal.
      await generator.return(undefined).catch(() => {});
      return end;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
