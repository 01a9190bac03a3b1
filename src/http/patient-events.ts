import { createSourceEventStream, type ExecutionArgs, type ExecutionResult, locatedError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { whenConnected } from '../services/when-connected.ts';
import type { Sharing } from './sharing.ts';

/**
 * Lets subscriptions ride out a database that is away: an event is read until the database answers, for what an event was about
 * is not told again. Its state is the latest then.
 */
export function usePatientEvents(sharing: Sharing): Plugin {
  const subscribe = async (
    args: ExecutionArgs,
  ): Promise<AsyncIterable<ExecutionResult> | ExecutionResult> => {
    const source = await createSourceEventStream(args);
    return Symbol.asyncIterator in source ? readEach(source, sharing.executor(args)) : source;
  };
  return {
    onSubscribe({ setSubscribeFn }) {
      setSubscribeFn(subscribe);
    },
  };
}

/** Not a generator: one of those is not ended while it waits. */
function readEach(
  source: AsyncIterable<unknown>,
  read: (event: unknown) => Promise<ExecutionResult>,
): AsyncIterableIterator<ExecutionResult> {
  const events = source[Symbol.asyncIterator]();
  const left = new AbortController();
  const end = { done: true, value: undefined } as const;
  return {
    async next() {
      try {
        const event = await events.next();
        if (event.done) return end;
        return { done: false, value: await whenConnected(() => read(event.value), left.signal) };
      } catch (error) {
        if (left.signal.aborted) return end;
        throw locatedError(error, undefined);
      }
    },
    async return() {
      left.abort();
      await events.return?.();
      return end;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
