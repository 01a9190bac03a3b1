import { setMaxListeners } from 'node:events';
import { MediaRejectedError, MediaUndecidedError } from './errors.ts';
import type { MediaFacts } from './facts.ts';
import type { Report, Task } from './messages.ts';
import type { RandomAccessReader } from './random-access-reader.ts';

/** One probe as the pool is asked for it. */
export interface CallRequest {
  readonly task: Task;
  readonly signal: AbortSignal;
  /** For a remote file, and how many of its bytes may be read. */
  readonly remote?: { readonly reader: RandomAccessReader; readonly maxBytes: number };
}

/** A probe on its way: its caller's promise, and its account of what was read. */
export interface Call {
  readonly request: CallRequest;
  readonly result: Promise<MediaFacts>;
  /**
   * Whether it must have a child to itself: one of a local file, or one whose child died with others in it, so that it
   * shows whose fault that was.
   */
  alone: boolean;
  /** Milliseconds that its child has worked for it; waiting for a remote source does not count. */
  workedMs: number;
  /** Begins its account anew, for another child. */
  restart(): void;
  isWaiting(): boolean;
  /** Ends the caller's wait; only the first word counts. */
  succeed(facts: MediaFacts): void;
  fail(error: unknown): void;
  isSettled(): boolean;
  /** Fetches what the child asks for; null when the call has failed by it. */
  fetch(offset: number, length: number): Promise<Uint8Array | null>;
}

/**
 * `onGivenUp`: called once when the call fails for a reason of its own, while its child may still be at it.
 */
export function createCall(request: CallRequest, onGivenUp: (call: Call) => void): Call {
  const abort = new AbortController();
  let settled = false;
  let waits = 0;
  let bytes = 0;
  const settlers: { resolve?: (facts: MediaFacts) => void; reject?: (error: unknown) => void } = {};
  const result = new Promise<MediaFacts>((resolve, reject) => Object.assign(settlers, { resolve, reject }));
  // The pool hands `result` to its caller; here nobody waits for it.
  result.catch(() => {});

  const onAbort = () => giveUp(request.signal.reason);
  // As many calls may share a signal as their caller likes: Node takes eleven for a leak, and says so.
  setMaxListeners(0, request.signal);
  request.signal.addEventListener('abort', onAbort, { once: true });

  function settle(): boolean {
    if (settled) return false;
    settled = true;
    request.signal.removeEventListener('abort', onAbort);
    abort.abort();
    return true;
  }

  function fail(error: unknown): void {
    if (settle()) settlers.reject?.(error);
  }

  function giveUp(error: unknown): void {
    if (settled) return;
    fail(error);
    onGivenUp(call);
  }

  async function fetch(offset: number, length: number): Promise<Uint8Array | null> {
    const { remote } = request;
    if (!remote || settled) return null;
    bytes += length;
    if (bytes > remote.maxBytes) {
      giveUp(new MediaUndecidedError(`The file cannot be judged by ${remote.maxBytes} bytes of it.`));
      return null;
    }
    waits++;
    try {
      const block = await remote.reader.read(offset, length, abort.signal);
      if (block.length === length) return settled ? null : block;
      giveUp(
        new MediaUndecidedError(`The source gave ${block.length} bytes where ${length} were asked for.`),
      );
    } catch (error) {
      giveUp(error);
    } finally {
      waits--;
    }
    return null;
  }

  const call: Call = {
    request,
    result,
    alone: request.remote === undefined,
    workedMs: 0,
    restart: () => {
      bytes = 0;
      call.workedMs = 0;
    },
    isWaiting: () => waits > 0,
    succeed: (facts) => {
      if (settle()) settlers.resolve?.(facts);
    },
    fail,
    isSettled: () => settled,
    fetch,
  };
  return call;
}

/** Ends a call by its child's last word on it. */
export function settleByReport(call: Call, report: Exclude<Report, { type: 'ready' | 'fetch' }>): void {
  if (report.type === 'facts') call.succeed(report.facts);
  else if (report.type === 'rejected') call.fail(new MediaRejectedError(report.code, report.message));
  else if (report.type === 'unreadable')
    call.fail(Object.assign(new Error(report.message), { code: report.code }));
  else call.fail(new Error('The reading of the file was stopped.'));
}
