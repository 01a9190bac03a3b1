import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProductResults, WorkSettings } from '../products.ts';
import { CopyMisfitError } from './copy-misfit.ts';
import { cutTracks } from './cut-tracks.ts';
import { type Mp4, readMp4 } from './mp4.ts';
import { multivariantPlaylist, withSound } from './multivariant.ts';
import { neverBack } from './never-back.ts';
import { SilentTrackError } from './silent-track.ts';
import { readPictureLook, readSourceFacts, type SourceFacts } from './source-facts.ts';
import { encodesPictures, planStream } from './stream-plan.ts';

/** A local file of which HLS is to be made. */
export interface StreamWork {
  readonly path: string;
  /** `stream/` is made in it; nothing else is left there. */
  readonly folder: string;
  readonly settings: WorkSettings;
}

const PLAYLIST = 'main.m3u8';

/**
 * Makes HLS of a local file: CMAF, one file for each playlist. What players take is copied; the rest is encoded, and so are
 * the further renditions of the ladder. Only for a process of its own: it blocks for moments, and a hostile file may crash
 * it.
 * @param onProgress is told 0 to 1, never less than before.
 * @throws {MediaRejectedError} when the file cannot be read or decoded.
 */
export async function makeStream(
  work: StreamWork,
  onProgress: (fraction: number) => void,
): Promise<ProductResults['STREAM']> {
  const report = neverBack(onProgress);
  let facts = await readSourceFacts(work.path);
  const handle = await open(work.path);
  const misfits = new Set<number>();
  try {
    const mp4 = await readMp4(handle);
    for (;;) {
      try {
        return await makeOnce(work, { facts, mp4, handle, misfits }, report);
      } catch (error) {
        // Each of these happens once for a stream, so that there is an end of it.
        if (error instanceof CopyMisfitError && error.streams.some((stream) => !misfits.has(stream))) {
          for (const stream of error.streams) misfits.add(stream);
        } else if (error instanceof SilentTrackError && facts.audio) facts = { ...facts, audio: null };
        else throw error;
      }
    }
  } finally {
    await handle.close();
  }
}

interface Source {
  readonly facts: SourceFacts;
  /** The file's own index, when it is a plain MP4; and the file. */
  readonly mp4: Mp4 | null;
  readonly handle: FileHandle;
  /** Streams that cannot be copied, against all appearances. */
  readonly misfits: ReadonlySet<number>;
}

async function makeOnce(
  { path, folder, settings: { ladder } }: StreamWork,
  { facts, mp4, handle, misfits }: Source,
  report: (fraction: number) => void,
): Promise<ProductResults['STREAM']> {
  const options = { facts, ladder, misfits };
  const look = encodesPictures(options) ? await readPictureLook(path) : null;
  const plan = planStream(options, mp4, look);
  const { pictures, sounds } = await cutTracks({ path, folder, handle, mp4, plan, facts, look, report });
  const variants = pictures.map(({ planned: { shown, range }, cut }) => ({ ...cut, shown, range }));
  await writeFile(join(folder, 'stream', PLAYLIST), multivariantPlaylist(variants, sounds));
  report(1);
  return {
    playlist: `stream/${PLAYLIST}`,
    renditions: pictures.map(({ planned, cut }) => {
      const { bandwidth, codecs } = withSound(cut, sounds[0]);
      const { width, height } = cut;
      return { width, height, bandwidth, codecs, copied: planned.order.how === 'COPY' };
    }),
  };
}
