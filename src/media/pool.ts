import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { type Call, type CallRequest, createCall } from './call.ts';
import { type MediaChild, startMediaChild } from './child-process.ts';
import type { MediaFacts } from './facts.ts';
import type { RandomAccessReader } from './random-access-reader.ts';
import { findSandbox } from './sandbox.ts';

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
  const memoryBytes = options.probeMemoryBytes ?? 512 * MIB;
  const maxCalls = options.maxCallsPerChild ?? 500;
  const callsAtOnce = options.callsAtOnce ?? THREADS;
  const children = new Set<MediaChild>();
  const queue: Call[] = [];
  const calls = new Set<Call>();
  let sandbox: Promise<readonly string[]> | undefined;
  let closed = false;

  function start(command: readonly string[]): MediaChild {
    const child = startMediaChild({
      path: options.childPath ?? builtChild(),
      sandbox: command,
      log: options.log,
      memoryBytes,
      deadlineMs: options.probeDeadlineMs ?? 60_000,
      maxShared: callsAtOnce,
      maxCalls,
      onFree: () => {
        if (child.isUsedUp() && child.load() === 0) retire(child);
        pump(command);
      },
      onExit: (unserved) => {
        children.delete(child);
        for (const call of unserved) {
          call.alone = true;
          call.restart();
        }
        queue.unshift(...unserved);
        pump(command);
      },
    });
    children.add(child);
    return child;
  }

  /** It is free, so nothing is lost; its place is free at once. */
  function retire(child: MediaChild): void {
    children.delete(child);
    retired.add(child);
    child.kill();
    void child.exited.then(() => retired.delete(child));
  }
  const retired = new Set<MediaChild>();

  /** The calls in their order, each to the child with the least to do. */
  function pump(command: readonly string[]): void {
    for (let call = queue[0]; call !== undefined && !closed; call = queue[0]) {
      const child = choose(call, command);
      if (!child) return;
      queue.shift();
      child.start(call);
    }
  }

  function choose(call: Call, command: readonly string[]): MediaChild | undefined {
    const [best] = [...children].filter((child) => child.takes(call)).sort((a, b) => a.load() - b.load());
    if (best?.load() === 0) return best;
    // One that only ends its last calls leaves its place already: they may wait for a source.
    const places = [...children].filter((child) => !child.isUsedUp()).length;
    return places < options.size ? start(command) : best;
  }

  function giveUp(call: Call): void {
    const place = queue.indexOf(call);
    if (place >= 0) queue.splice(place, 1);
    for (const child of children) child.stopCall(call);
  }

  async function run(request: CallRequest): Promise<MediaFacts> {
    request.signal.throwIfAborted();
    if (closed) throw new Error('The media pool is closed.');
    const call = createCall(request, giveUp);
    calls.add(call);
    queue.push(call);
    sandbox ??= findSandbox(memoryBytes + 512 * MIB);
    pump(await sandbox);
    return call.result.finally(() => calls.delete(call));
  }

  return {
    probeFile: (path, { signal }) => run({ task: { type: 'probeFile', path }, signal }),
    probeRemote: (reader, { signal, maxBytes = 8 * MIB }) =>
      run({ task: { type: 'probeRemote', size: reader.size }, signal, remote: { reader, maxBytes } }),
    async close() {
      closed = true;
      const ending = [...children, ...retired];
      for (const call of calls) call.fail(new Error('The media pool is closed.'));
      queue.length = 0;
      for (const child of ending) child.kill();
      await Promise.all(ending.map((child) => child.exited));
    },
    pids: () => [...children].flatMap(({ pid }) => (pid === undefined ? [] : [pid])),
  };
}

/** The built program of a child, also when this file itself runs from its source. */
function builtChild(): string {
  const path = import.meta.url.endsWith('.ts') ? '../../dist/media/child.js' : './child.js';
  return fileURLToPath(new URL(path, import.meta.url));
}
