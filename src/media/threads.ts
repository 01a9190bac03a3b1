import { availableParallelism } from 'node:os';
import type { Size } from './picture.ts';

/** More threads hold more pictures in memory, and several files are worked on at once. */
const MOST_THREADS = 4;
/** Pictures of more pixels than UHD has take so much memory that few of them may be held at once. */
const LARGE_PICTURE = 3840 * 2160;
const MOST_FOR_LARGE = 2;

/** How many threads a decoder or an encoder of such pictures may have. @param wanted how many it could make use of */
export function threadsFor({ width, height }: Size, wanted = availableParallelism()): number {
  return Math.min(Math.ceil(wanted), width * height > LARGE_PICTURE ? MOST_FOR_LARGE : MOST_THREADS);
}
