import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished, test } from 'vitest';
import { startTwoWorkers } from '../chaos/two-workers.ts';
import { startSilence } from '../support/silence.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

const CUT_OFF_MS = 10_000;

test('a worker that did not reach the database for longer than a lease changes nothing when it does again', async () => {
  const silence = await startSilence();
  let proxy: TcpProxy | undefined;
  let databaseUrl = '';
  const { prove } = await startTwoWorkers(async (url) => {
    databaseUrl = url;
    proxy = await createTcpProxy(url);
    return proxy.url;
  });
  onTestFinished(() => proxy?.close());
  // Nothing passes on old connections or new ones, and none is closed.
  proxy?.redirect(silence.url);
  proxy?.freeze();
  const silentUntil = performance.now() + CUT_OFF_MS;
  await prove(async () => {
    await sleep(Math.max(0, silentUntil - performance.now()));
    proxy?.redirect(databaseUrl);
    proxy?.thaw();
    silence.cut();
  });
});
