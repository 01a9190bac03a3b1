import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeClip } from '../../src/demo/clips.ts';
import { sha256 } from '../flows/file-origin.ts';
import { box } from '../media/support/mp4-surgery.ts';
import { answerFile, startOrigin } from '../sources/origin.ts';

/** Rules that let the small videos in. */
export const SMALL_REQUIREMENTS = JSON.stringify({ minWidth: 64, minHeight: 64, minDuration: 0.5 });

/** An origin of as many real videos as one likes, each unlike any other. */
export interface SmallVideos {
  readonly bytesEach: number;
  url(number: number): string;
  /** Of the bytes of one, in hex. */
  sha256(number: number): string;
  close(): Promise<void>;
}

/** Encodes one small clip and serves it under any number, behind it something of its own that players pass over. */
export async function serveSmallVideos(): Promise<SmallVideos> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-small-'));
  const path = join(folder, 'clip.mp4');
  await makeClip(
    { width: 160, height: 120, seconds: 1, frameRate: 10, audioCodec: null, bitrate: 60_000 },
    path,
  );
  const clip = await readFile(path).finally(() => rm(folder, { recursive: true }));
  const bytesOf = (number: number) =>
    Buffer.concat([clip, box('free', Buffer.from(`video ${number}`.padEnd(32)))]);
  const origin = await startOrigin((request, response) => {
    const number = Number(/^\/(\d+)$/.exec(request.url ?? '')?.[1] ?? Number.NaN);
    if (Number.isNaN(number)) return void response.writeHead(404).end();
    answerFile(request, response, bytesOf(number), { etag: `"${number}"` });
  });
  return {
    bytesEach: bytesOf(0).length,
    url: (number) => `${origin.url.origin}/${number}`,
    sha256: (number) => sha256(bytesOf(number)),
    close: origin.close,
  };
}
