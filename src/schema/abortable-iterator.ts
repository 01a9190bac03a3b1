/**
 * An iterator over what a generator yields that can be ended while the generator waits. A generator alone keeps a `return` until
 * its next value comes, which for a subscription may be never.
 * @param run makes the generator; its signal is aborted when the iterator is ended
 * @param watch may end it with an error, too; what it returns is called when the iterator has ended
 */
export function abortableIterator<T>(
  run: (signal: AbortSignal) => AsyncGenerator<T>,
  watch: (fail: (error: Error) => void) => () => void = () => () => {},
): AsyncIterableIterator<T> {
  const controller = new AbortController();
  const generator = run(controller.signal);
  const end = { done: true, value: undefined } as const;
  let failure: Error | null = null;
  const unwatch = watch((error) => {
    if (controller.signal.aborted) return;
    failure = error;
    controller.abort();
  });
  const finish = () => {
    unwatch();
    if (failure === null) return end;
    const error = failure;
    // Told once: whoever asks again gets the end.
    failure = null;
    throw error;
  };
  return {
    async next() {
      if (controller.signal.aborted) return finish();
      try {
        const result = await generator.next();
        // What was read for whoever may not see it any more is not told.
        return result.done || failure !== null ? finish() : result;
      } catch (error) {
        if (controller.signal.aborted) return finish();
        unwatch();
        throw error;
      }
    },
    async return() {
      unwatch();
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
