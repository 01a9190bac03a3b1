import { NotReadableAheadError } from './errors.ts';
import type { HttpResponse } from './http-client.ts';
import { unavailable } from './http-errors.ts';

/** How much of a file without ranges is kept to be looked at, in bytes. */
const MAX_BEGINNING = 8 * 1024 * 1024;

/** The beginning of a body, read as far as somebody wants to see it. */
export interface Beginning {
  /** Reads on until `length` bytes are here or the body has ended; tells how many are here. */
  reach(length: number): Promise<{ readonly length: number; readonly ended: boolean }>;
  /** As `RemoteFile.read`. */
  read(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array>;
}

/**
 * Keeps up to the first 8 MiB of a body; the rest stays with the server, held back by the connection's flow control,
 * until the response is discarded.
 * @param size of the file in bytes, if it is known
 */
export function createBeginning(response: HttpResponse, size: number | null): Beginning {
  const chunks = response.body[Symbol.asyncIterator]();
  let kept = Buffer.alloc(0);
  let ended = false;
  let turn: Promise<void> = Promise.resolve();

  async function fill(wanted: number): Promise<void> {
    const parts = [kept];
    let length = kept.length;
    while (!ended && length < wanted) {
      const next = await chunks.next();
      ended = next.done === true;
      if (next.done === true) break;
      parts.push(Buffer.from(next.value));
      length += next.value.length;
    }
    kept = Buffer.concat(parts, length);
    if (ended && size !== null && length < size) {
      throw unavailable(`${response.url.hostname} sent less than it announced.`, { retryable: true });
    }
  }

  async function reach(length: number) {
    // One reader after the other. After a failure all fail: what comes then would look like the end of the file.
    turn = turn.then(() => fill(length));
    await turn;
    return { length: kept.length, ended };
  }

  return {
    reach,
    async read(offset, length, signal) {
      signal.throwIfAborted();
      const end = Math.min(offset + length, size ?? Number.MAX_SAFE_INTEGER);
      if (offset >= end) return new Uint8Array(0);
      if (end > MAX_BEGINNING && !(ended && size === null)) throw new NotReadableAheadError();
      const stop = () => response.discard();
      signal.addEventListener('abort', stop, { once: true });
      try {
        await reach(end);
      } catch (error) {
        signal.throwIfAborted();
        throw error;
      } finally {
        signal.removeEventListener('abort', stop);
      }
      return kept.subarray(offset, end);
    },
  };
}
