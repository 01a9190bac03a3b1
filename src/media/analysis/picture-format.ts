import type { AVColorRange, AVColorSpace, AVPixelFormat } from 'node-av/constants';
import {
  AVCOL_PRI_BT2020,
  AVCOL_PRI_UNSPECIFIED,
  AVCOL_SPC_BT709,
  AVCOL_SPC_BT2020_NCL,
  AVCOL_SPC_RGB,
  AVCOL_SPC_SMPTE170M,
  AVCOL_SPC_UNSPECIFIED,
} from 'node-av/constants';
import { avGetPixFmtName, type Frame } from 'node-av/lib';

/** What every picture of a pass has in common; the first one decides. */
export interface PictureFormat {
  readonly width: number;
  readonly height: number;
  readonly pixelFormat: AVPixelFormat;
  readonly pixelFormatName: string;
  /** Width to height of one pixel. */
  readonly pixelAspect: number;
  readonly colorSpace: AVColorSpace;
  readonly colorRange: AVColorRange;
  readonly hdr: boolean;
}

const RGB = /^(x|a|0)?(rgb|bgr|gbr)|^pal8/;

/** Takes the format of a first picture, and what is known of its container. */
export function formatOf(
  frame: Frame,
  { pixelAspect, hdr }: { readonly pixelAspect: number; readonly hdr: boolean },
): PictureFormat {
  const { width, height } = frame;
  // A video frame's format is one of pixels; the type also allows for those of sound.
  const pixelFormat = frame.format as AVPixelFormat;
  const pixelFormatName = avGetPixFmtName(pixelFormat) ?? '';
  const told = frame.colorSpace === AVCOL_SPC_UNSPECIFIED ? usualColorSpace(height, hdr) : frame.colorSpace;
  const colorSpace = RGB.test(pixelFormatName) ? AVCOL_SPC_RGB : told;
  return {
    width,
    height,
    pixelFormat,
    pixelFormatName,
    pixelAspect,
    colorSpace,
    colorRange: frame.colorRange,
    hdr,
  };
}

/** What players take for granted where nothing is told. */
function usualColorSpace(height: number, hdr: boolean): AVColorSpace {
  if (hdr) return AVCOL_SPC_BT2020_NCL;
  return height >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
}

/** Whether filters that were made for a format can take this picture. */
export function hasFormat(frame: Frame, format: PictureFormat): boolean {
  return (
    frame.width === format.width && frame.height === format.height && frame.format === format.pixelFormat
  );
}

/** Writes down on a picture what its format says, so that no filter has to guess, or takes it for a change. */
export function stamp(frame: Frame, format: PictureFormat): void {
  frame.colorSpace = format.colorSpace;
  frame.colorRange = format.colorRange;
  if (format.hdr && frame.colorPrimaries === AVCOL_PRI_UNSPECIFIED) frame.colorPrimaries = AVCOL_PRI_BT2020;
}
