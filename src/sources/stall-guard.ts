import type { Readable } from 'node:stream';
import { SourceError } from './errors.ts';

/** Below this a transfer counts as standing still, in bytes per second. */
const MIN_BYTES_PER_SECOND = 1024;

/** A transfer stood still. Unlike a cut, it is not worth an immediate second try. */
export class StallError extends SourceError {
  constructor(host: string, stallTimeoutMs: number) {
    const message = `${host} sent less than 1 KB/s for ${stallTimeoutMs / 1000} s.`;
    super('SOURCE_UNAVAILABLE', message, { retryable: true });
  }
}

export interface StallGuardOptions {
  /** How long it may stay below 1 KiB/s, in milliseconds. */
  readonly stallTimeoutMs: number;
  readonly host: string;
}

/**
 * Passes the chunks of a body on, and ends it with a StallError when it stands still: less than 1 KiB/s over the
 * time-out, so that a byte now and then does not keep a slot for ever. Only time spent waiting for the network counts:
 * a consumer may take as long as it likes.
 */
export async function* guardStall(body: Readable, options: StallGuardOptions): AsyncGenerator<Uint8Array> {
  const { host, stallTimeoutMs } = options;
  const pace = createPace(stallTimeoutMs);
  const check = () => {
    if (pace.isStalled()) body.destroy(new StallError(host, stallTimeoutMs));
  };
  const timer = setInterval(check, Math.max(stallTimeoutMs / 10, 5));
  try {
    pace.wait();
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      pace.receive(chunk.length);
      yield chunk;
      pace.wait();
    }
  } finally {
    clearInterval(timer);
  }
}

/** Counts bytes against the time waited for them; begins anew whenever enough came. */
function createPace(timeoutMs: number) {
  const enough = (MIN_BYTES_PER_SECOND * timeoutMs) / 1000;
  let waitingSince: number | null = null;
  let waitedMs = 0;
  let bytes = 0;
  const waited = () => waitedMs + (waitingSince === null ? 0 : performance.now() - waitingSince);
  return {
    wait() {
      waitingSince = performance.now();
    },
    receive(length: number) {
      waitedMs = waited();
      waitingSince = null;
      bytes += length;
      if (bytes >= enough) {
        bytes = 0;
        waitedMs = 0;
      }
    },
    isStalled: () => waitingSince !== null && waited() >= timeoutMs,
  };
}
