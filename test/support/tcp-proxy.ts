import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A proxy on the loopback address through which a test can spoil a connection. */
export interface TcpProxy {
  /** The URL of the target with the proxy's address in it. */
  readonly url: string;
  /** Connections open now go silent: nothing passes and nothing is closed. New ones are not affected. */
  freeze(): void;
  /** Lets what was frozen pass again. */
  thaw(): void;
  /** Cuts off all connections, and each new one at once, until `admit`. */
  refuse(): void;
  admit(): void;
  /** New connections go to the host and port of another URL. */
  redirect(targetUrl: string): void;
  /** How many connections were accepted so far. */
  accepted(): number;
  close(): Promise<void>;
}

/** Starts a proxy to the host and port of a URL. */
export async function createTcpProxy(targetUrl: string): Promise<TcpProxy> {
  let target = new URL(targetUrl);
  const sockets = new Set<Socket>();
  let isRefusing = false;
  let accepted = 0;
  const server = createServer((inner) => {
    accepted += 1;
    if (isRefusing) return void inner.destroy();
    const outer = connect(Number(target.port), target.hostname);
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      sockets.add(from);
      // Not pipe(): it would resume on its own what freeze() paused.
      from.on('data', (chunk) => to.write(chunk));
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const url = new URL(targetUrl);
  if (address !== null && typeof address === 'object') url.port = String(address.port);
  return {
    url: url.href,
    freeze: () => {
      for (const socket of sockets) socket.pause();
    },
    thaw: () => {
      for (const socket of sockets) socket.resume();
    },
    refuse: () => {
      isRefusing = true;
      for (const socket of sockets) socket.destroy();
    },
    admit: () => {
      isRefusing = false;
    },
    redirect: (otherUrl) => {
      target = new URL(otherUrl);
    },
    accepted: () => accepted,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
