import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished, test } from 'vitest';
import { startTwoWorkers } from '../chaos/two-workers.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

const CUT_OFF_MS = 10_000;

/** Accepts connections and never says a word. */
async function startSilence() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo; // A TCP server has no other kind.
  return {
    url: `postgres://127.0.0.1:${port}`,
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

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
}, 180_000);
