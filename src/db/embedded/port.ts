import { once } from 'node:events';
import { createServer } from 'node:net';

/** The only address that our PostgreSQL listens on. */
export const LOOPBACK = '127.0.0.1';

/** A TCP port of the loopback address that nobody listens on right now; somebody may the next moment. */
export async function pickFreePort(): Promise<number> {
  const server = createServer().listen(0, LOOPBACK);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP server has no port');
  return address.port;
}

/** Whether somebody listens on a TCP port of the loopback address. */
export async function isPortTaken(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, LOOPBACK);
    await once(server, 'listening');
    return false;
  } catch {
    return true;
  } finally {
    server.close();
  }
}
