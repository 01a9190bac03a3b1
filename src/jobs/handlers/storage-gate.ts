import type { ProgressReporter } from '../../events/progress.ts';
import { WaitError } from '../errors.ts';
import type { JobHandler } from '../handler.ts';

/** How long the storage is left alone after it was full. */
const STORAGE_FULL_SECONDS = 30;
/** So many bytes of one task are not only on their way to the storage: some of them are there. */
const ENOUGH_BYTES = 64 * 1024 * 1024;

/** Holds back what needs room in the storage while there is none. */
export interface StorageGate {
  /**
   * Does the work, now or when the storage may have room again.
   * @param taskId whose bytes it stores
   * @throws {WaitError} when the storage is full, or the gate was stopped while it was
   */
  run(taskId: string, signal: AbortSignal, work: () => Promise<void>): Promise<void>;
  /** So many bytes of a task were given to the storage by now. */
  stored(taskId: string, bytes: number): void;
  /** Sends away whoever waits, and whoever comes while the storage is full: the worker stops. */
  stop(): void;
}

/**
 * Makes a gate. It is open until some work finds the storage full. From then on one piece of work is let in after each
 * pause, to look; the gate opens when that one has stored what it has, or much of it. Those that wait keep their places in
 * the worker, so that it claims no more of their kind: thousands of tasks do not each find out by themselves.
 * @param seconds the pause
 */
export function createStorageGate({
  seconds = STORAGE_FULL_SECONDS,
}: {
  readonly seconds?: number;
} = {}): StorageGate {
  const waiting = new Set<() => void>();
  /** The tasks that were let in to look, with the bytes that they have stored. */
  const lookers = new Map<string, number>();
  let nextLook: number | null = null;
  let isStopped = false;

  const wakeAll = (): void => {
    for (const wake of [...waiting]) wake();
  };
  const lookIn = (ms: number): void => {
    nextLook = performance.now() + ms;
    wakeAll();
  };
  const open = (): void => {
    nextLook = null;
    lookers.clear();
    wakeAll();
  };
  const full = (): WaitError => new WaitError({ seconds, reason: 'STORAGE' });

  const rest = (ms: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        waiting.delete(end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      signal.addEventListener('abort', end, { once: true });
      waiting.add(end);
    });

  const enter = async (taskId: string, signal: AbortSignal): Promise<void> => {
    while (nextLook !== null) {
      signal.throwIfAborted();
      if (isStopped) throw full();
      const ms = nextLook - performance.now();
      if (ms > 0) {
        await rest(ms, signal);
        continue;
      }
      lookers.set(taskId, 0);
      nextLook = performance.now() + seconds * 1000;
      return;
    }
  };

  return {
    async run(taskId, signal, work) {
      await enter(taskId, signal);
      try {
        await work();
        if ((lookers.get(taskId) ?? 0) > 0) open();
      } catch (error) {
        if (!(error instanceof WaitError) || error.reason !== 'STORAGE') throw error;
        lookers.delete(taskId);
        lookIn(seconds * 1000);
        throw full();
      } finally {
        // It looked, and ended without having found out: the next may look at once.
        if (lookers.delete(taskId)) lookIn(0);
      }
    },
    stored(taskId, bytes) {
      if (!lookers.has(taskId)) return;
      lookers.set(taskId, bytes);
      if (bytes >= ENOUGH_BYTES) open();
    },
    stop() {
      isStopped = true;
      wakeAll();
    },
  };
}

/** The handler of jobs whose subjects are tasks, held back by the gate. */
export function heldBack<P>(handler: JobHandler<P>, gate: StorageGate): JobHandler<P> {
  return {
    ...handler,
    run: (job, options) => gate.run(job.subjectId, options.signal, () => handler.run(job, options)),
  };
}

/** Reports as before, and lets the gate know of bytes that were stored. */
export function watchedBy(gate: StorageGate, progress: ProgressReporter): ProgressReporter {
  return {
    ...progress,
    report(report) {
      if (report.stage === 'UPLOAD') gate.stored(report.taskId, report.bytesDone);
      progress.report(report);
    },
  };
}
