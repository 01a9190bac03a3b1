import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { FOLDERS } from './believe.ts';
import { LONGEST_WORK_REPORT } from './channel.ts';
import { builtChild, createChildPool } from './child-pool.ts';
import { MediaProcessError, type MediaProcessFailure, MediaRejectedError } from './errors.ts';
import type { Product, WorkListener, WorkOptions } from './products.ts';
import { createWorkAccount, toDeathError, toProductError, type WorkAccount } from './work-account.ts';
import { createWorkCall, type WorkCall } from './work-call.ts';
import { deadlineOf, SILENCE_MS } from './work-deadline.ts';
import { type WorkReport, workReportSchema } from './work-messages.ts';

export interface WorkPoolOptions {
  /** How many child processes at most. */
  readonly size: number;
  readonly log: Logger;
  /** A child whose resident memory passes this many bytes is killed; 2 GiB. */
  readonly memoryBytes?: number;
  /** How long a call may take in its child, in milliseconds; by size and duration of the file unless given. */
  readonly deadlineMs?: number;
  /** How long a child may tell of no progress before it is taken to hang, in milliseconds; ten minutes. */
  readonly silenceMs?: number;
  /** After how many calls a child is replaced; 50. */
  readonly maxCallsPerChild?: number;
  /** After how many milliseconds a child is replaced, once it is free; ten minutes. */
  readonly maxAgeMs?: number;
  /** The script that children run; the built work-child.js. */
  readonly childPath?: string;
  /** Told of each death of a child at work. */
  readonly onDeath?: (reason: MediaProcessFailure) => void;
}

export interface WorkRun extends WorkOptions {
  readonly signal: AbortSignal;
  /** Of the file, in bytes. */
  readonly size: number;
  /** Of the file, in seconds. */
  readonly duration: number;
}

export interface WorkPool {
  /**
   * Makes the products of a local file, in child processes: the stream by one call, all others by another, which decodes
   * the file once for all of them. When that dies, each product that is open is made alone, so that one that kills its
   * process costs only itself. A product that cannot be made has an outcome with its error, and leaves no files.
   *
   * Settles when no child is at work below the folder any more; nothing is told afterwards. What is there belongs to the caller.
   * @throws {MediaNoRoomError} when there was no room for the products
   * @throws the signal's reason; what the listener throws; an Error when no process could be started, or the system failed
   */
  work(options: WorkRun, listener: WorkListener): Promise<void>;
  /** Ends every child; work under way rejects. */
  close(): Promise<void>;
  /** The process ids of the children alive. */
  pids(): number[];
}

const MIB = 1024 * 1024;

/** Pool of processes that make products of files. None is started before the first call. */
export function createWorkPool(options: WorkPoolOptions): WorkPool {
  const children = createChildPool<WorkReport, WorkCall>({
    size: options.size,
    log: options.log,
    program: {
      path: options.childPath ?? builtChild('work-child.js'),
      memoryBytes: options.memoryBytes ?? 2048 * MIB,
      heapMib: 512,
      reports: workReportSchema,
      longestReport: LONGEST_WORK_REPORT,
      maxCalls: options.maxCallsPerChild ?? 50,
      maxAgeMs: options.maxAgeMs ?? 10 * 60_000,
      maxShared: 1,
      // What it writes is of no use to anybody then.
      stopGraceMs: 0,
    },
  });

  /** @throws {MediaProcessError} when its child died, {MediaRejectedError}, and what ends the work as a whole */
  async function serve(run: WorkRun, { products, fresh }: Part, account: WorkAccount): Promise<void> {
    const { path, folder, settings, signal, duration } = run;
    let leaving: Promise<void> | undefined;
    signal.throwIfAborted();
    const call = createWorkCall(
      {
        task: { type: 'work', path, folder, settings, products },
        signal,
        duration,
        fresh,
        account,
        deadlineMs: options.deadlineMs ?? deadlineOf({ ...run, products }),
        silenceMs: options.silenceMs ?? SILENCE_MS,
      },
      (given) => {
        leaving = children.leave(given);
      },
    );
    try {
      await children.run(call);
    } finally {
      await leaving;
      await call.checked();
    }
  }

  /** Makes products by one call; those that its child left open as it died are made alone. */
  async function make(run: WorkRun, part: Part, account: WorkAccount): Promise<void> {
    const open = () => part.products.filter((product) => !account.hasEnded(product));
    try {
      await serve(run, part, account);
    } catch (error) {
      if (error instanceof MediaRejectedError) {
        for (const product of open()) account.fail(product, toProductError(error));
      } else if (error instanceof MediaProcessError) {
        await recover(run, { products: open(), wasShared: part.products.length > 1, error }, account);
      } else throw error;
    }
  }

  async function recover(run: WorkRun, { products, wasShared, error }: Death, account: WorkAccount) {
    const { reason } = error;
    options.log.warn({ products, reason }, 'media work: its process died');
    options.onDeath?.(reason);
    await clear(run.folder, products);
    for (const product of products) {
      if (wasShared) await make(run, { products: [product], fresh: true }, account);
      else account.fail(product, toDeathError(error));
    }
  }

  return {
    async work(run, listener) {
      run.signal.throwIfAborted();
      const stop = new AbortController();
      const onAbort = () => stop.abort(run.signal.reason);
      run.signal.addEventListener('abort', onAbort, { once: true });
      const account = createWorkAccount(listener, (error) => stop.abort(error));
      const making = partsOf(run.products).map((part) =>
        make({ ...run, signal: stop.signal }, part, account).catch((error: unknown) => stop.abort(error)),
      );
      await Promise.all(making);
      account.close();
      run.signal.removeEventListener('abort', onAbort);
      stop.signal.throwIfAborted();
      await clear(run.folder, account.failed());
    },
    close: children.close,
    pids: children.pids,
  };
}

/** Products that are made by one call. */
interface Part {
  readonly products: readonly Product[];
  /** Whether that needs a process that has done nothing else. */
  readonly fresh: boolean;
}

interface Death {
  /** What was left open. */
  readonly products: readonly Product[];
  readonly wasShared: boolean;
  readonly error: MediaProcessError;
}

/** The stream needs no decoded pictures where it is copied; all others share them. */
function partsOf(products: readonly Product[]): readonly Part[] {
  const all = new Set(products);
  const alone: readonly Product[] = all.delete('STREAM') ? ['STREAM'] : [];
  return [alone, [...all]].flatMap((some) => (some.length > 0 ? [{ products: some, fresh: false }] : []));
}

/** Removes what was begun of products. */
async function clear(folder: string, products: readonly Product[]): Promise<void> {
  for (const product of products) {
    const name = FOLDERS[product];
    if (name !== undefined) await rm(join(folder, name), { recursive: true, force: true });
  }
}
