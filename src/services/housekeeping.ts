import { setTimeout as sleep } from 'node:timers/promises';
import { settleContent } from '../jobs/definitions.ts';
import { wakeForgotten } from './content-claims.ts';
import type { Services } from './deps.ts';
import { finishImports } from './finish-import.ts';

const EVERY_MS = 10_000;

/** Does again what a process may have left undone that died between a commit and what follows it. */
export interface Housekeeping {
  start(): void;
  stop(): Promise<void>;
}

async function tidy(services: Services): Promise<void> {
  await finishImports(services);
  if ((await wakeForgotten(services.db)) > 0) services.jobs.wake(settleContent.kind);
}

/** Looks every ten seconds, jittered so that several servers do not all look at once, for imports that should have ended and for tasks that wait for nobody. */
export function createHousekeeping(services: Services): Housekeeping {
  const controller = new AbortController();
  const { signal } = controller;
  let running: Promise<void> = Promise.resolve();
  const run = async () => {
    while (!signal.aborted) {
      await tidy(services).catch((error: unknown) =>
        services.log.warn({ err: error }, 'housekeeping did not come to its end; it will be tried again'),
      );
      await sleep(EVERY_MS * (0.5 + Math.random()), undefined, { signal }).catch(() => {});
    }
  };
  return {
    start() {
      running = run();
    },
    async stop() {
      controller.abort();
      await running;
    },
  };
}
