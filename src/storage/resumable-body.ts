import { Readable } from 'node:stream';

const BUFFER_BYTES = 256 * 1024;
/** How often in a row a body is taken up again that brings nothing. */
const MAX_FRUITLESS = 3;
/** A body that was cut after this many bytes was worth it, however often that happens. */
const FRUITFUL_BYTES = 64 * 1024;

export interface ResumableBodyOptions {
  /** What was opened already. */
  readonly first: Readable;
  /** How many bytes there are altogether. */
  readonly length: number;
  /** Opens the rest, behind as many bytes; it throws when there is none of the same object any more. */
  readonly rest: (taken: number) => Promise<Readable>;
  /** What an error of the connection is to the reader. */
  readonly explain: (error: unknown) => Error;
}

/**
 * Gives the bytes of bodies that are cut as one stream, which ends only when all of them came. A connection that dies
 * while the reader wants nothing, because it is slow, is opened again when it wants more.
 */
export function createResumableBody({ first, length, rest, explain }: ResumableBodyOptions): Readable {
  let body: Readable | null = null;
  let taken = 0;
  let takenBefore = 0;
  let fruitless = 0;
  let isWanted = false;
  let isOpening = false;

  const out = new Readable({
    highWaterMark: BUFFER_BYTES,
    read() {
      isWanted = true;
      if (body === null) void open();
      else body.resume();
    },
    destroy(error, callback) {
      body?.destroy();
      callback(error);
    },
  });

  function follow(stream: Readable): void {
    body = stream;
    takenBefore = taken;
    stream.on('data', (chunk: Buffer) => {
      if (body !== stream) return;
      taken += chunk.length;
      isWanted = out.push(chunk);
      if (!isWanted) stream.pause();
    });
    stream.once('end', () => lose(stream, new Error('the body ended before its time')));
    stream.once('close', () => lose(stream, new Error('the connection was closed')));
    stream.on('error', (error) => lose(stream, error));
    if (!isWanted) stream.pause();
  }

  /** A body is over, well or not. */
  function lose(stream: Readable, error: unknown): void {
    if (body !== stream || out.destroyed) return;
    body = null;
    if (taken === length) return void out.push(null);
    stream.destroy();
    if (taken > length) return void out.destroy(explain(new Error('the body is longer than it said')));
    // A reader that did not want anything is nobody's failure.
    if (isWanted) fruitless = taken - takenBefore < FRUITFUL_BYTES ? fruitless + 1 : 0;
    if (fruitless > MAX_FRUITLESS) return void out.destroy(explain(error));
    if (isWanted) void open();
  }

  async function open(): Promise<void> {
    if (isOpening || out.destroyed || taken === length) return;
    isOpening = true;
    try {
      const stream = await rest(taken);
      if (out.destroyed) stream.destroy();
      else follow(stream);
    } catch (error) {
      out.destroy(explain(error));
    } finally {
      isOpening = false;
    }
  }

  follow(first);
  return out;
}
