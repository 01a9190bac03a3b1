import { createSourceEventStream, type ExecutionArgs, type ExecutionResult, locatedError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { whenConnected } from '../services/when-connected.ts';
import { isGone, type Sharing } from './sharing.ts';

/**
 * Lets subscriptions ride out a database that is away: an event is read until the database answers, for what an event was about
 * is not told again. Its state is the latest then. An event about what was deleted meanwhile is left out.
 */
export function usePatientEvents(sharing: Sharing): Plugin {
  const subscribe = async (
    args: ExecutionArgs,
  ): Promise<AsyncIterable<ExecutionResult> | ExecutionResult> => {
    const source = await createSourceEventStream(args);
    if (!(Symbol.asyncIterator in source)) return source;
    return readEach(source, {
      read: sharing.executor(args),
      deliver: sharing.deliverer(args.contextValue),
    });
  };
  return {
    onSubscribe({ setSubscribeFn }) {
      setSubscribeFn(subscribe);
    },
  };
}

/** How an event is read, and how a result is delivered that goes to many. */
interface Ways {
  readonly read: (event: unknown) => Promise<ExecutionResult>;
  readonly deliver: ReturnType<Sharing['deliverer']>;
}

/** Not a generator: one of those is not ended while it waits. */
function readEach(
  source: AsyncIterable<unknown>,
  { read, deliver }: Ways,
): AsyncIterableIterator<ExecutionResult> {
  const events = source[Symbol.asyncIterator]();
  const left = new AbortController();
  const end = { done: true, value: undefined } as const;
  return {
    async next() {
      try {
        for (;;) {
          const event = await events.next();
          if (event.done || left.signal.aborted) return end;
          const value = await whenConnected(() => read(event.value), left.signal);
          if (isGone(value)) continue;
          const delivered = left.signal.aborted ? null : deliver(value);
          if (delivered === null) return { done: false, value };
          await delivered;
        }
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
