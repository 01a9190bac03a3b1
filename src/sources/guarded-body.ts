import type { Readable } from 'node:stream';
import { errorOfNetwork } from './http-errors.ts';
import { guardStall } from './stall-guard.ts';

/** The body of an answer, as `HttpResponse` gives it. */
export interface GuardedBody {
  readonly body: AsyncIterable<Uint8Array>;
  discard(): void;
}

interface GuardedBodyOptions {
  /** For messages. */
  readonly host: string;
  readonly stallTimeoutMs: number;
  readonly signal: AbortSignal;
}

/** Lets a body that comes from the network be read once, see `HttpResponse.body`; cut off when it stands still. */
export function guardBody(
  stream: Readable,
  { host, stallTimeoutMs, signal }: GuardedBodyOptions,
): GuardedBody {
  // A body fails also while nobody reads it; who reads it then is told.
  stream.on('error', () => {});
  async function* chunks() {
    try {
      yield* guardStall(stream, { stallTimeoutMs, host });
    } catch (error) {
      signal.throwIfAborted();
      throw errorOfNetwork(error, host);
    }
  }
  return {
    body: chunks(),
    discard: () => {
      stream.destroy();
    },
  };
}
