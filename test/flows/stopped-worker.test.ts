import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'vitest';
import { startTwoWorkers } from '../chaos/two-workers.ts';

const THREE_LEASES_MS = 9000;

test('a worker that stood still for three leases changes nothing when it goes on', async () => {
  const { first, prove } = await startTwoWorkers(async (url) => url);
  first.signal('SIGSTOP');
  const stillUntil = performance.now() + THREE_LEASES_MS;
  await prove(async () => {
    await sleep(Math.max(0, stillUntil - performance.now()));
    first.signal('SIGCONT');
  });
}, 180_000);
