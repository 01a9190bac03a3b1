import type { Frame } from 'node-av/lib';
import type { ProductResults } from '../products.ts';
import type { Analyzer, AnalyzerOptions, PictureFacts } from './analyzer.ts';
import { createGrid, cropBars, type GrayPicture, SIDE } from './gray-picture.ts';
import { perceptualHash } from './perceptual-hash.ts';

/** As many as the product may hold. */
const MOST_PICTURES = 2000;
/** Milliseconds between two pictures, doubled until there are few enough. */
const SHORTEST_STEP = 250;
/** Of a picture that differs less from its own mean, in levels of brightness, noise would make the hash. */
const LEAST_CONTRAST = 3;

/**
 * Makes the FINGERPRINT: hashes of pictures four times a second, of long films less often, as they are shown and without black
 * bars, so that another size, shape or compression of the same pictures comes out as nearly the same bits.
 */
export function createFingerprintAnalyzer({ facts }: AnalyzerOptions): Analyzer<'FINGERPRINT'> {
  const grid = createGrid();
  const pictures: { readonly at: number; readonly picture: GrayPicture }[] = [];
  return {
    product: 'FINGERPRINT',
    branches: [
      {
        filters: filtersFor(facts),
        onFrame(frame, at) {
          if (pictures.length >= MOST_PICTURES) return;
          const picture = readPicture(frame);
          grid.add(picture);
          pictures.push({ at: Math.max(0, at), picture });
        },
      },
    ],
    finish(): ProductResults['FINGERPRINT'] {
      // What is a bar is known only when all pictures were seen: one dark picture has a dark edge.
      const inside = grid.inside();
      const frames = pictures.flatMap(({ at, picture }) => {
        const cropped = cropBars(picture, inside);
        return contrastOf(cropped) < LEAST_CONTRAST ? [] : [{ at, hash: perceptualHash(cropped) }];
      });
      return { frames };
    },
  };
}

const TURNS = { 0: [], 90: ['transpose=clock'], 180: ['hflip', 'vflip'], 270: ['transpose=cclock'] } as const;

function filtersFor({ duration, rotation }: PictureFacts): string {
  let step = SHORTEST_STEP;
  while ((duration * 1000) / step > MOST_PICTURES) step *= 2;
  // Time stamps are rounded; a picture that is due may seem to be a little early.
  const place = (time: string) => `floor((${time}+0.002)*1000/${step})`;
  return [
    `select='isnan(prev_selected_t)+gt(${place('t')},${place('prev_selected_t')})'`,
    `scale=${SIDE}:${SIDE}:flags=area`,
    'format=gray',
    ...TURNS[rotation],
  ].join(',');
}

function readPicture(frame: Frame): GrayPicture {
  const [plane] = frame.data ?? [];
  const [stride = SIDE] = frame.linesize;
  const picture = new Uint8Array(SIDE * SIDE);
  // The frame's memory ends with it.
  for (let row = 0; plane && row < SIDE; row++)
    picture.set(plane.subarray(row * stride, row * stride + SIDE), row * SIDE);
  return picture;
}

function contrastOf(picture: Float64Array): number {
  let [sum, squares] = [0, 0];
  for (const level of picture) {
    sum += level;
    squares += level * level;
  }
  const mean = sum / picture.length;
  return Math.sqrt(Math.max(0, squares / picture.length - mean * mean));
}
