import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeClip } from '../../src/demo/clips.ts';
import { box } from '../media/support/mp4-surgery.ts';
import { answerFile, type SeenRequest, startOrigin } from '../sources/origin.ts';

/** A file as an origin has it. */
export interface ServedFile {
  readonly bytes: Buffer;
  /** Left out: what the file holds cannot be told without reading it. */
  readonly etag?: string;
  /** Keeps transfers waiting until it is aborted; looks are answered. */
  readonly held?: AbortSignal;
}

/** An origin whose files can be replaced. */
export interface FileOrigin {
  /** A name of its own is taken unless one is given. @returns the URL */
  put(file: ServedFile, name?: string): string;
  /** How many looks and transfers a URL was asked for. */
  asked(url: string): { readonly looks: number; readonly transfers: number };
  /** The URL of a file that is not there. */
  readonly missing: string;
  close(): Promise<void>;
}

/** A look asks for parts of a file, a transfer for all of it or for its rest. */
export const isLook = ({ headers }: Pick<SeenRequest, 'headers'>): boolean =>
  /^bytes=\d+-\d+$/.test(headers.range ?? '');

/** Starts an origin without files. */
export async function startFileOrigin(): Promise<FileOrigin> {
  const files = new Map<string, ServedFile>();
  const origin = await startOrigin((request, response) => {
    const file = files.get(request.url ?? '');
    if (!file) return void response.writeHead(404).end();
    const { bytes, etag, held } = file;
    const answer = () => answerFile(request, response, bytes, etag === undefined ? {} : { etag });
    if (held === undefined || held.aborted || isLook(request)) answer();
    else held.addEventListener('abort', answer);
  });
  const urlOf = (path: string) => `${origin.url.origin}${path}`;
  return {
    put(file, name = `file-${files.size}`) {
      files.set(`/${name}`, file);
      return urlOf(`/${name}`);
    },
    asked(url) {
      const seen = origin.requests.filter(({ path }) => urlOf(path) === url);
      const looks = seen.filter(isLook).length;
      return { looks, transfers: seen.length - looks };
    },
    missing: urlOf('/missing'),
    close: origin.close,
  };
}

export const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

/** Encodes one clip. @returns makes it anew, with something behind it that no player looks at: other bytes each time */
export async function makeContents(): Promise<() => Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-contents-'));
  await makeClip({ width: 480, height: 360, seconds: 4 }, join(folder, 'clip.mp4'));
  const clip = await readFile(join(folder, 'clip.mp4'));
  await rm(folder, { recursive: true });
  let made = 0;
  return () => {
    made += 1;
    return Buffer.concat([clip, box('free', Buffer.from(`content ${made}`))]);
  };
}
