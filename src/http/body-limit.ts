import type { IncomingMessage } from 'node:http';

/** How long the body of a request may take, in milliseconds. */
const BODY_MS = 30_000;

/** Cuts a request whose body does not come to its end in time. */
export function limitBody(request: IncomingMessage): void {
  const timer = setTimeout(() => {
    if (request.complete || request.destroyed) return;
    request.socket.end('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  }, BODY_MS);
  request.once('close', () => clearTimeout(timer));
}
