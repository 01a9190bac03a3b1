import { createReadStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { ByteRange } from './byte-range.ts';

/** Pieces that the bytes of one second are sent in. */
const PIECES_PER_SECOND = 20;

/** Where a body goes, and how fast. */
export interface BodyOptions {
  readonly response: Writable;
  /** As fast as it goes unless given. */
  readonly bytesPerSecond?: number;
}

/** Sends a part of a file and ends the answer; returns too when the client has closed its connection. */
export async function sendBody(
  path: string,
  range: ByteRange,
  { response, bytesPerSecond }: BodyOptions,
): Promise<void> {
  if (bytesPerSecond === undefined) return finish(pipeline(createReadStream(path, range), response));
  const piece = Math.max(1, Math.floor(bytesPerSecond / PIECES_PER_SECOND));
  const file = createReadStream(path, { ...range, highWaterMark: piece });
  await finish(pipeline(file, (chunks: AsyncIterable<Buffer>) => paced(chunks, bytesPerSecond), response));
}

/** Lets the chunks through at a rate, by the clock: a late piece makes the next one come sooner. */
async function* paced(chunks: AsyncIterable<Buffer>, bytesPerSecond: number): AsyncGenerator<Buffer> {
  const begun = performance.now();
  let sent = 0;
  for await (const chunk of chunks) {
    yield chunk;
    sent += chunk.length;
    const early = (sent / bytesPerSecond) * 1000 - (performance.now() - begun);
    if (early > 0) await delay(early);
  }
}

/** A client that has read enough closes its connection: that is no error of ours. */
async function finish(sending: Promise<void>): Promise<void> {
  try {
    await sending;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code !== 'ERR_STREAM_PREMATURE_CLOSE' && code !== 'ECONNRESET' && code !== 'EPIPE') throw error;
  }
}
