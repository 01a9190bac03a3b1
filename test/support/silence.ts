import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** Somebody who accepts connections and never says a word. */
export interface Silence {
  /** As the URL of a PostgreSQL. */
  readonly url: string;
  /** Cuts off all connections. */
  cut(): void;
}

/** Starts one on a free port of 127.0.0.1, until the test is over. */
export async function startSilence(): Promise<Silence> {
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
