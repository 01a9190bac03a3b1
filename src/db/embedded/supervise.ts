import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type Postmaster, stopPostmaster } from './postmaster.ts';

const WATCH_INTERVAL_MS = 1000;

/** Whom to watch over, and how to replace it. */
export interface SuperviseOptions {
  readonly postmaster: Postmaster;
  /** Starts a server in the place of one that died; may reject, and is then tried again. */
  readonly relaunch: (signal: AbortSignal) => Promise<Postmaster>;
  readonly log: Logger;
}

/**
 * Starts the server again whenever it ends without being told to, as it does when the system runs out of memory.
 * It is looked at once a second; the watch alone keeps no process from ending.
 *
 * @returns what ends the watch and the server; the request to stop goes out before anything is waited for
 */
export function supervise(options: SuperviseOptions): () => Promise<void> {
  const { relaunch, log } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  let current = options.postmaster;

  const watch = async (): Promise<void> => {
    for (;;) {
      await sleep(WATCH_INTERVAL_MS, undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted) return;
      if (await current.isAlive()) continue;
      log.error({ postmaster: current.pid }, 'PostgreSQL ended unasked; starting it again');
      try {
        current = await relaunch(signal);
      } catch (error) {
        if (!signal.aborted) log.error({ err: error }, 'PostgreSQL could not be started again');
      }
    }
  };

  const watching = watch();
  return async () => {
    stopping.abort();
    await stopPostmaster(current, log);
    await watching;
    // It may have been replaced while the old one was told to stop.
    await stopPostmaster(current, log);
  };
}
