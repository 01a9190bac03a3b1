import type { Logger } from 'pino';
import type { Config } from './config.ts';

/** Ends parts in the reverse order in which they were started. */
export class Shutdown {
  readonly #steps: (() => Promise<unknown> | unknown)[] = [];
  #running: Promise<void> | null = null;
  /** Calls off whatever waiting the steps do. */
  hurry: () => void = () => {};

  /** Whether it has begun. */
  get isStopping(): boolean {
    return this.#running !== null;
  }

  add(step: () => Promise<unknown> | unknown): void {
    this.#steps.push(step);
  }

  /** Does every step once, whatever becomes of the others; throws what went wrong, together. */
  run(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<void> {
    const errors: unknown[] = [];
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'Not everything could be stopped cleanly.');
  }
}

const running = new Set<Shutdown>();

/** Stops every app of this process that runs or is starting, without grace for what it does; for a process that has to end at once. */
export async function stopRunningApps(): Promise<void> {
  await Promise.all(
    [...running].map((shutdown) => {
      shutdown.hurry();
      return shutdown.run();
    }),
  );
}

/** Runs a start; what was started before a part that could not is stopped again. */
export async function startGuarded<T>(log: Logger, start: (shutdown: Shutdown) => Promise<T>): Promise<T> {
  const shutdown = new Shutdown();
  running.add(shutdown);
  shutdown.add(() => running.delete(shutdown));
  try {
    return await start(shutdown);
  } catch (error) {
    await shutdown
      .run()
      .catch((stopError: unknown) => log.error({ err: stopError }, 'stopping after a failed start'));
    throw error;
  }
}

/** What every part is handed: the settings, the log, and where to say how it is ended. */
export interface Setting {
  readonly config: Config;
  readonly log: Logger;
  readonly shutdown: Shutdown;
}
