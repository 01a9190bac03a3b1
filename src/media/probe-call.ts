import type { ChildCall } from './child-call.ts';
import { MediaRejectedError, MediaUndecidedError } from './errors.ts';
import type { MediaFacts } from './facts.ts';
import type { ProbeReport, Task } from './messages.ts';
import { createPending } from './pending.ts';
import type { RandomAccessReader } from './random-access-reader.ts';

/** One probe as the pool is asked for it. */
export interface CallRequest {
  readonly task: Task;
  readonly signal: AbortSignal;
  /** How long its child may work for it, in milliseconds. */
  readonly deadlineMs: number;
  /** For a remote file, and how many of its bytes may be read. */
  readonly remote?: { readonly reader: RandomAccessReader; readonly maxBytes: number };
}

/** A probe on its way: its caller's promise, and its account of what was read. */
export interface ProbeCall extends ChildCall<ProbeReport> {
  readonly result: Promise<MediaFacts>;
}

/**
 * `onGivenUp`: called once when the call fails for a reason of its own, while its child may still be at it.
 */
export function createProbeCall(request: CallRequest, onGivenUp: (call: ProbeCall) => void): ProbeCall {
  let waits = 0;
  let bytes = 0;
  const pending = createPending<MediaFacts>(request.signal, () => onGivenUp(call));

  /** Fetches what the child asks for; null when the call has failed by it. */
  async function fetch(offset: number, length: number): Promise<Uint8Array | null> {
    const { remote } = request;
    if (!remote || pending.isSettled()) return null;
    bytes += length;
    if (bytes > remote.maxBytes) {
      pending.giveUp(new MediaUndecidedError(`The file cannot be judged by ${remote.maxBytes} bytes of it.`));
      return null;
    }
    waits++;
    try {
      const block = await remote.reader.read(offset, length, pending.over);
      if (block.length === length) return pending.isSettled() ? null : block;
      pending.giveUp(
        new MediaUndecidedError(`The source gave ${block.length} bytes where ${length} were asked for.`),
      );
    } catch (error) {
      pending.giveUp(error);
    } finally {
      waits--;
    }
    return null;
  }

  const call: ProbeCall = {
    order: request.task,
    deadlineMs: request.deadlineMs,
    result: pending.result,
    alone: request.remote === undefined,
    fresh: false,
    workedMs: 0,
    heardAtMs: 0,
    restart: () => {
      bytes = 0;
      call.workedMs = 0;
    },
    isWaiting: () => waits > 0,
    isSettled: pending.isSettled,
    fail: pending.fail,
    hear(report, line) {
      if (report.type === 'fetch') {
        void fetch(report.offset, report.length).then((block) => block && line.sendBlock(block));
        return 'MORE';
      }
      if (report.type === 'facts') pending.succeed(report.facts);
      else pending.fail(errorOf(report));
      return 'LAST';
    },
  };
  return call;
}

function errorOf(report: Exclude<ProbeReport, { type: 'fetch' | 'facts' }>): Error {
  if (report.type === 'rejected') return new MediaRejectedError(report.code, report.message);
  if (report.type === 'stopped') return new Error('The reading of the file was stopped.');
  return Object.assign(new Error(report.message), { code: report.code });
}
