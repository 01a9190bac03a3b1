import { answerFile, type Origin, startOrigin } from '../sources/origin.ts';
import { isLook } from './file-origin.ts';

const EVERY_MS = 5;

/** How a file is answered: as it should be, byte by byte without ever coming to its end, or not at all (404). */
export type Mood = 'WELL' | 'DRIPS' | 'GONE';

/** An origin that answers each file as it likes. */
export interface MoodyOrigin extends Pick<Origin, 'requests' | 'close'> {
  url(name: string): string;
  /** Names that are being sent byte by byte. */
  readonly open: ReadonlySet<string>;
}

/** Serves files under any name; `mood` is asked for each answer. */
export async function startMoodyOrigin(
  bytesOf: (name: string) => Buffer,
  mood: (name: string, kind: 'look' | 'transfer') => Mood,
): Promise<MoodyOrigin> {
  const open = new Set<string>();
  const origin = await startOrigin((request, response) => {
    const name = (request.url ?? '').slice(1);
    const bytes = bytesOf(name);
    const etag = `"${name}"`;
    const now = mood(name, isLook(request) ? 'look' : 'transfer');
    if (now === 'GONE') return void response.writeHead(404).end();
    if (now === 'WELL') return answerFile(request, response, bytes, { etag });
    open.add(name);
    response.writeHead(200, { etag, 'content-length': bytes.length });
    let sent = 0;
    const drip = setInterval(() => {
      if (sent === bytes.length - 1) return;
      response.write(bytes.subarray(sent, sent + 1));
      sent += 1;
    }, EVERY_MS);
    response.on('close', () => {
      clearInterval(drip);
      open.delete(name);
    });
  });
  return {
    open,
    requests: origin.requests,
    close: origin.close,
    url: (name) => `${origin.url.origin}/${name}`,
  };
}

/** Bytes by name, made when a name is first asked for. */
export function bytesByName(fresh: () => Buffer): (name: string) => Buffer {
  const made = new Map<string, Buffer>();
  return (name) => {
    const bytes = made.get(name) ?? fresh();
    made.set(name, bytes);
    return bytes;
  };
}
