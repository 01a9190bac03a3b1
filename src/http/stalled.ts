import type { ServerResponse } from 'node:http';

/** As long as a WebSocket may leave a ping unanswered at most. */
const STALLED_MS = 24_000;

/**
 * Cuts a stream whose client takes nothing any more though there is something for it: it would be kept with its event for as long as
 * the connection lasts.
 * @param afterMs for how long it may take nothing; up to twice that may pass
 */
export function cutWhenStalled(response: ServerResponse, afterMs: number = STALLED_MS): void {
  let before = -1;
  const timer = setInterval(() => {
    const { socket } = response;
    if (socket === null) return;
    const taken = socket.bytesWritten - socket.writableLength;
    if (socket.writableLength > 0 && taken === before) response.destroy();
    before = taken;
  }, afterMs);
  response.once('close', () => clearInterval(timer));
}
