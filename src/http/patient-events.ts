import {
  createSourceEventStream,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  locatedError,
} from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { GoneError } from '../services/errors.ts';
import { isDatabaseAway, whenConnected } from '../services/when-connected.ts';

/**
 * Lets subscriptions ride out a database that is away: an event is read until the database answers, for what an event was about
 * is not told again. Its state is the latest then. An event about what was deleted meanwhile is left out.
 */
export function usePatientEvents(): Plugin {
  return {
    onSubscribe({ setSubscribeFn }) {
      setSubscribeFn(subscribe);
    },
  };
}

async function subscribe(args: ExecutionArgs): Promise<AsyncIterable<ExecutionResult> | ExecutionResult> {
  const source = await createSourceEventStream(args);
  return Symbol.asyncIterator in source ? readEach(source, args) : source;
}

/** Not a generator: one of those is not ended while it waits. */
function readEach(
  source: AsyncIterable<unknown>,
  args: ExecutionArgs,
): AsyncIterableIterator<ExecutionResult> {
  const events = source[Symbol.asyncIterator]();
  const left = new AbortController();
  const end = { done: true, value: undefined } as const;
  return {
    async next() {
      try {
        for (;;) {
          const event = await events.next();
          if (event.done) return end;
          const value = await read({ ...args, rootValue: event.value }, left.signal);
          if (!isGone(value)) return { done: false, value };
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

const isGone = ({ errors = [] }: ExecutionResult): boolean =>
  errors.some(({ originalError }) => originalError instanceof GoneError);

function read(args: ExecutionArgs, signal: AbortSignal): Promise<ExecutionResult> {
  return whenConnected(async () => {
    const result = await execute(args);
    const away = result.errors?.find(({ originalError }) => isDatabaseAway(originalError));
    if (away !== undefined) throw away.originalError;
    return result;
  }, signal);
}
