import { type FileHandle, mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CutTrack, cutMp4 } from '../../../src/media/stream/cut-mp4.ts';
import { type Mp4, readMp4 } from '../../../src/media/stream/mp4.ts';

export interface Cut {
  readonly mp4: Mp4;
  readonly tracks: readonly CutTrack[];
  /** Of the folder with the files. */
  path(name: string): string;
  text(name: string): Promise<string>;
}

/** A file that is open while it is used. */
export async function withFile<T>(path: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await open(path);
  try {
    return await use(handle);
  } finally {
    await handle.close();
  }
}

export const readIndex = (path: string): Promise<Mp4 | null> => withFile(path, readMp4);

/** Cuts all tracks of a plain MP4 into a folder; they are called track-0 and so on. */
export async function cutFile(path: string, folder: string, segmentSeconds = 2): Promise<Cut> {
  await mkdir(folder, { recursive: true });
  return await withFile(path, async (handle) => {
    const mp4 = await readMp4(handle);
    if (mp4 === null) throw new Error(`${path} is no plain MP4`);
    const wanted = mp4.tracks.map((track, index) => ({ track, name: `track-${index}` }));
    const tracks = await cutMp4({ mp4, handle, folder, segmentSeconds, tracks: wanted });
    const inFolder = (name: string) => join(folder, 'stream', name);
    return { mp4, tracks, path: inFolder, text: (name) => readFile(inFolder(name), 'utf8') };
  });
}
