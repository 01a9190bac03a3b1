import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { startOrigin } from '../sources/origin.ts';

const PIECES_PER_SECOND = 25;

/** One answer with bytes of a file. */
export interface Sending {
  readonly name: string;
  /** A look asks for a part that ends before the file does; a transfer for all, or for all from a byte on. */
  readonly kind: 'look' | 'transfer';
  readonly start: number;
  /** How many bytes have left so far. */
  sent: number;
}

/** An origin that sends at a rate and writes down what it has sent to whom. */
export interface PacedOrigin {
  readonly sendings: readonly Sending[];
  /** Bytes a second of each answer; may be changed at any time. */
  rate: number;
  /** Files that are not answered for as long as their name is in here. */
  readonly held: Set<string>;
  /** To how many more files transfers may come to the end; those of others wait before their last bytes. All, unless set. */
  endings: number;
  url(name: string): string;
  close(): Promise<void>;
}

/** Serves files from memory, each with a strong ETag, with ranges; 404 for any other name. */
export async function startPacedOrigin(
  files: ReadonlyMap<string, Buffer>,
  rate: number,
): Promise<PacedOrigin> {
  const sendings: Sending[] = [];
  const held = new Set<string>();
  const ended = new Set<string>();
  const mayEnd = (name: string): boolean => {
    if (ended.has(name)) return true;
    if (paced.endings < 1) return false;
    paced.endings -= 1;
    ended.add(name);
    return true;
  };
  const origin = await startOrigin((request, response) => {
    const name = (request.url ?? '').slice(1);
    const file = files.get(name);
    if (file === undefined) return void response.writeHead(404).end();
    const etag = `"${name}"`;
    const usable = [undefined, etag].includes(request.headers['if-range']?.toString());
    const range = usable ? /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') : null;
    const start = Number(range?.[1] ?? 0);
    const end = Math.min(range?.[2] ? Number(range[2]) + 1 : file.length, file.length);
    if (start >= end) {
      // Whoever has it all learns that there is nothing more of it.
      response.writeHead(416, { etag, 'content-range': `bytes */${file.length}`, 'content-length': 0 });
      return void response.end();
    }
    const kind = range?.[2] ? 'look' : 'transfer';
    const sending: Sending = { name, kind, start, sent: 0 };
    sendings.push(sending);
    response.writeHead(range === null ? 200 : 206, {
      'content-type': 'video/mp4',
      'content-length': end - start,
      etag,
      ...(range === null ? {} : { 'content-range': `bytes ${start}-${end - 1}/${file.length}` }),
    });
    void send(response, file.subarray(start, end), sending);
  });
  async function send(response: ServerResponse, bytes: Buffer, sending: Sending): Promise<void> {
    while (held.has(sending.name) && !response.destroyed) await sleep(20);
    while (sending.sent < bytes.length && !response.destroyed) {
      const piece = bytes.subarray(sending.sent, sending.sent + Math.ceil(paced.rate / PIECES_PER_SECOND));
      const isLast = sending.kind === 'transfer' && sending.sent + piece.length === bytes.length;
      if (isLast && !mayEnd(sending.name)) {
        await sleep(20);
        continue;
      }
      response.write(piece);
      sending.sent += piece.length;
      if (sending.kind === 'transfer') await sleep(1000 / PIECES_PER_SECOND);
    }
    response.end();
  }
  const paced: PacedOrigin = {
    sendings,
    rate,
    held,
    endings: Number.POSITIVE_INFINITY,
    url: (name) => `${origin.url.origin}/${name}`,
    close: origin.close,
  };
  return paced;
}
