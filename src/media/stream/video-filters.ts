import {
  AVCOL_PRI_BT2020,
  AVCOL_PRI_UNSPECIFIED,
  AVCOL_SPC_BT2020_NCL,
  AVCOL_SPC_RGB,
  AVCOL_SPC_UNSPECIFIED,
  AVCOL_TRC_UNSPECIFIED,
  type AVPixelFormat,
} from 'node-av/constants';
import { avGetPixFmtName, type Frame, type Stream } from 'node-av/lib';
import type { Size } from '../picture.ts';
import type { PictureLook } from './source-facts.ts';

const RGB = /^(x|a|0)?(rgb|bgr|gbr)|^pal8|^mono/;

/** What a graph is built for: frames that differ in it need another one. */
export function formatOf(frame: Frame, { timeBase }: Stream): string {
  // A picture has a format of pixels; the type also allows for those of sound.
  const name = avGetPixFmtName(frame.format as AVPixelFormat) ?? '';
  const colorSpace = RGB.test(name) ? AVCOL_SPC_RGB : frame.colorSpace;
  return [
    `video_size=${frame.width}x${frame.height}`,
    `pix_fmt=${name}`,
    `time_base=${timeBase.num}/${timeBase.den}`,
    `colorspace=${colorSpace}`,
    `range=${frame.colorRange}`,
  ].join(':');
}

/** Writes down on a frame what its container alone has told, for the filter that makes SDR of it. */
export function stampHdr(frame: Frame, { codecpar }: Stream): void {
  if (frame.colorTrc === AVCOL_TRC_UNSPECIFIED) frame.colorTrc = codecpar.colorTrc;
  if (frame.colorPrimaries === AVCOL_PRI_UNSPECIFIED) frame.colorPrimaries = AVCOL_PRI_BT2020;
  if (frame.colorSpace === AVCOL_SPC_UNSPECIFIED) frame.colorSpace = AVCOL_SPC_BT2020_NCL;
}

/** Filters from pictures as decoded to those of each rendition, upright, with square pixels, in the order of `sizes`. */
export function filtersTo(sizes: readonly Size[], look: PictureLook, format: string): string {
  // Those that are not marked as interlaced go through untouched.
  const shared = ['bwdif=mode=send_frame:deint=interlaced'];
  if (look.hdr) shared.push('tonemapx=tonemap=bt2390:p=bt709:t=bt709:m=bt709:r=tv:format=yuv420p');
  shared.push(...turn(look.rotation));
  const isRgb = format.includes(`colorspace=${AVCOL_SPC_RGB}:`);
  const matrix = isRgb ? ':out_color_matrix=bt709' : '';
  const ends = sizes.map(
    ({ width, height }, index) =>
      `[r${index}]scale=${width}:${height}:flags=bicubic:out_range=tv${matrix},format=yuv420p,setsar=1,buffersink@${index}`,
  );
  const split = `split=${sizes.length}${sizes.map((_, index) => `[r${index}]`).join('')}`;
  return `buffer@in=${format},${[...shared, split].join(',')};${ends.join(';')}`;
}

function turn(degrees: number): readonly string[] {
  if (degrees === 90) return ['transpose=clock'];
  if (degrees === 180) return ['hflip', 'vflip'];
  return degrees === 270 ? ['transpose=cclock'] : [];
}
