import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
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
