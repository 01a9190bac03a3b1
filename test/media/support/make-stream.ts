import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AV_LOG_QUIET } from 'node-av/constants';
import { Log } from 'node-av/lib';
import { beforeAll, expect } from 'vitest';
import { type ClipSpec, makeClips } from '../../../src/demo/clips.ts';
import { type ProductResults, streamSchema } from '../../../src/media/products.ts';
import { makeStream } from '../../../src/media/stream/make-stream.ts';
import { type DecodedTrack, decodeTrack } from './decode-track.ts';

/** Of the clips that streams are made of. */
export const SECONDS = 3;
export const FRAMES = SECONDS * 25;

export interface MadeStream {
  readonly result: ProductResults['STREAM'];
  readonly progress: readonly number[];
  readonly playlist: string;
  readonly folder: string;
  decode(name: string): Promise<DecodedTrack>;
}

/** Encodes small clips before the tests of a file. @returns the path of each by its name */
export function useClips<Name extends string>(
  inFolder: (name: string) => string,
  clips: Readonly<Record<Name, ClipSpec>>,
): (name: Name) => string {
  let paths: ReadonlyMap<string, string>;
  beforeAll(async () => {
    Log.setLevel(AV_LOG_QUIET);
    const small = { width: 320, height: 180, seconds: SECONDS };
    const specs = Object.entries<ClipSpec>(clips).map(([name, spec]) => ({ ...small, ...spec, name }));
    paths = await makeClips(specs, inFolder('clips'));
  });
  return (name) => paths.get(name) ?? '';
}

/** Makes a stream in a new folder, and sees that nothing else is left in it. */
export async function makeInto(
  folder: string,
  path: string,
  ladder: readonly number[] = [],
): Promise<MadeStream> {
  await mkdir(folder);
  const progress: number[] = [];
  const settings = { pictureFormat: 'jpeg', ladder } as const;
  const result = await makeStream({ path, folder, settings }, (fraction) => progress.push(fraction));
  expect(streamSchema.parse(result)).toEqual(result);
  expect(await readdir(folder)).toEqual(['stream']);
  return {
    result,
    progress,
    folder: join(folder, 'stream'),
    playlist: await readFile(join(folder, result.playlist), 'utf8'),
    decode: (name) => decodeTrack(join(folder, 'stream', `${name}.mp4`)),
  };
}

/** All pictures are there, without a flaw, from the beginning on. */
export function expectWhole(track: DecodedTrack, frames = FRAMES): void {
  expect(track).toMatchObject({ frames, flawed: 0 });
  expect(track.start).toBeLessThan(0.1);
  expect(Math.abs(track.end - track.start - frames / 25)).toBeLessThan(0.1);
}
