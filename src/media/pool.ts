import type { Logger } from 'pino';
import { LONGEST_REPORT } from './channel.ts';
import { builtChild, createChildPool } from './child-pool.ts';
import type { MediaFacts } from './facts.ts';
import { type ProbeReport, reportSchema } from './messages.ts';
import { type CallRequest, createProbeCall, type ProbeCall } from './probe-call.ts';
import type { RandomAccessReader } from './random-access-reader.ts';

export type { RandomAccessReader } from './random-access-reader.ts';

export interface MediaPoolOptions {
  /** How many child processes at most. */
  readonly size: number;
  readonly log: Logger;
  /** A child whose resident memory passes this many bytes is killed; 512 MiB. */
  readonly probeMemoryBytes?: number;
  /** How long one call may take in its child, in milliseconds; 60,000. */
  readonly probeDeadlineMs?: number;
  /** After how many calls a child is replaced; 500. */
  readonly maxCallsPerChild?: number;
  /** How long a child may take to leave a call that nobody waits for, in milliseconds, before it is killed; 1,000. */
  readonly stopGraceMs?: number;
  /** How many calls about remote files a child has at once, as they wait for their sources most of the time; 4. */
  readonly callsAtOnce?: number;
  /** The script that children run; the built child.js. */
  readonly childPath?: string;
}

interface ProbeOptions {
  readonly signal: AbortSignal;
}

interface RemoteProbeOptions extends ProbeOptions {
  /** How many bytes of the file may be read to judge it; 8 MiB. */
  readonly maxBytes?: number;
}

export interface MediaPool {
  /**
   * The facts of a local file.
   * Throws MediaRejectedError (a verdict about the file), MediaProcessError (its child died), or the
   * signal's reason.
   */
  probeFile(path: string, options: ProbeOptions): Promise<MediaFacts>;
  /**
   * The facts of a remote file, by as few reads as they take.
   * Throws what `probeFile` throws, MediaUndecidedError, or the very error that `reader.read` rejected with.
   */
  probeRemote(reader: RandomAccessReader, options: RemoteProbeOptions): Promise<MediaFacts>;
  /** Ends every child; calls that still run reject. */
  close(): Promise<void>;
  /** The process ids of the children alive. */
  pids(): number[];
}

const MIB = 1024 * 1024;
/** Of a child, for FFmpeg: a probe holds one of them also while it waits for its source. */
const THREADS = 4;

/** What a pool needs is checked when the first call comes; until then no process is started. */
export function createMediaPool(options: MediaPoolOptions): MediaPool {
  const deadlineMs = options.probeDeadlineMs ?? 60_000;
  const children = createChildPool<ProbeReport, ProbeCall>({
    size: options.size,
    log: options.log,
    program: {
      path: options.childPath ?? builtChild('child.js'),
      memoryBytes: options.probeMemoryBytes ?? 512 * MIB,
      heapMib: 96,
      reports: reportSchema,
      longestReport: LONGEST_REPORT,
      maxCalls: options.maxCallsPerChild ?? 500,
      maxAgeMs: Number.POSITIVE_INFINITY,
      maxShared: options.callsAtOnce ?? THREADS,
      stopGraceMs: options.stopGraceMs ?? 1000,
    },
  });

  async function run(request: Omit<CallRequest, 'deadlineMs'>): Promise<MediaFacts> {
    request.signal.throwIfAborted();
    const call = createProbeCall({ ...request, deadlineMs }, (given) => void children.leave(given));
    await children.run(call);
    return await call.result;
  }

  return {
    probeFile: (path, { signal }) => run({ task: { type: 'probeFile', path }, signal }),
    probeRemote: (reader, { signal, maxBytes = 8 * MIB }) =>
      run({ task: { type: 'probeRemote', size: reader.size }, signal, remote: { reader, maxBytes } }),
    close: children.close,
    pids: children.pids,
  };
}
