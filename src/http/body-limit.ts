import type { IncomingMessage } from 'node:http';

/** How long the body of a request may take, in milliseconds, and how often it is looked at. */
const BODY_MS = 30_000;
const LOOK_MS = 1_000;

/** Requests whose body is on its way, with when it has to be there. */
const open = new Map<IncomingMessage, number>();
let timer: NodeJS.Timeout | undefined;

/**
 * Cuts a request whose body does not come to its end in time. There is one timer for all, for most bodies come with their heads.
 * @returns to be called when it has come
 */
export function limitBody(request: IncomingMessage): () => void {
  open.set(request, performance.now() + BODY_MS);
  timer ??= setInterval(look, LOOK_MS).unref();
  return () => void open.delete(request);
}

function look(): void {
  const now = performance.now();
  for (const [request, end] of open) {
    const isOver = request.complete || request.destroyed;
    if (!isOver && now < end) continue;
    open.delete(request);
    if (!isOver)
      request.socket.end('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  }
  if (open.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}
