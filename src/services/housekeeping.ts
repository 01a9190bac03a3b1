import { setTimeout as sleep } from 'node:timers/promises';
import { settleContent } from '../jobs/definitions.ts';
import { wakeForgotten } from './content-claims.ts';
import type { Services } from './deps.ts';
import { finishImports } from './finish-import.ts';
import { foldUsage } from './fold-usage.ts';
import { planRecurringJobs } from './housekeeping-jobs.ts';
import { seeToUploads } from './upload-chores.ts';

const EVERY_SECONDS = 10;
/** How long a stop waits for what is going on: a database that does not answer must not hold up the end. */
const STOP_MS = 800;

/** Does again what a process may have left undone that died between a commit and what follows it. */
export interface Housekeeping {
  /** Begins; does nothing when it has begun already. */
  start(): void;
  /** Ends within a second, for good. */
  stop(): Promise<void>;
}

/** What there is to look at; each whether or not the others could be done. */
const CHORES: readonly ((services: Services) => Promise<void>)[] = [
  (services) => finishImports(services),
  (services) => planRecurringJobs(services.db),
  seeToUploads,
  (services) => foldUsage(services.db),
  async (services) => {
    if ((await wakeForgotten(services.db)) > 0) services.jobs.wake(settleContent.kind);
  },
];

/**
 * Looks every ten seconds, jittered so that several servers do not all look at once, for imports that should have ended, for
 * tasks that wait for nobody, for uploads, for changes of what teams use, and whether the jobs that come round are planned.
 * @param everySeconds the time between two looks, give or take half of it
 */
export function createHousekeeping(
  services: Services,
  { everySeconds = EVERY_SECONDS }: { readonly everySeconds?: number } = {},
): Housekeeping {
  const controller = new AbortController();
  const { signal } = controller;
  let running: Promise<void> | null = null;
  const run = async () => {
    while (!signal.aborted) {
      for (const chore of CHORES) if (!signal.aborted) await attempt(services, chore);
      await sleep(everySeconds * 1000 * (0.5 + Math.random()), undefined, { signal }).catch(() => {});
    }
  };
  return {
    start() {
      running ??= run();
    },
    async stop() {
      controller.abort();
      const late = new AbortController();
      const timer = sleep(STOP_MS, undefined, { signal: late.signal }).catch(() => {});
      await Promise.race([running, timer]);
      late.abort();
    },
  };
}

async function attempt(services: Services, chore: (services: Services) => Promise<void>): Promise<void> {
  try {
    await chore(services);
  } catch (error) {
    services.log.warn({ err: error }, 'housekeeping did not come to its end; it will be tried again');
  }
}
