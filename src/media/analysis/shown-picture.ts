import type { WorkSettings } from '../products.ts';
import type { PictureFacts } from './analyzer.ts';

export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/** The size of a picture as shown whose long side is at most `longSide` pixels: never enlarged, and even. */
export function fittedSize(facts: PictureFacts, longSide: number): PictureSize {
  const { shownWidth, shownHeight } = facts;
  const factor = Math.min(1, longSide / Math.max(shownWidth, shownHeight));
  return { width: toEven(shownWidth * factor), height: toEven(shownHeight * factor) };
}

/** Encoders of pictures take colours in blocks of two pixels by two. */
function toEven(length: number): number {
  return Math.max(2, Math.round(length / 2) * 2);
}

/**
 * Filters that make a picture as it is shown, ready to be encoded: small, its pixels square, turned, SDR, in
 * the colours that JPEG and WebP are read with.
 */
export function shownPictureFilters(
  facts: PictureFacts,
  { longSide, format }: { readonly longSide: number; readonly format: WorkSettings['pictureFormat'] },
): string {
  const size = fittedSize(facts, longSide);
  const [width, height] = facts.rotation % 180 === 0 ? [size.width, size.height] : [size.height, size.width];
  // What is small is cheap: the size goes first, the rest of the way is the same for each pixel.
  return [...toneFilters(facts, { width, height, format }), ...TURNS[facts.rotation], 'setsar=1'].join(',');
}

const TURNS: Readonly<Record<PictureFacts['rotation'], readonly string[]>> = {
  0: [],
  90: ['transpose=clock'],
  180: ['hflip', 'vflip'],
  270: ['transpose=cclock'],
};

interface Tone extends PictureSize {
  readonly format: WorkSettings['pictureFormat'];
}

function toneFilters({ hdr }: PictureFacts, { width, height, format }: Tone): readonly string[] {
  // A JPEG has the matrix of BT.601 and the full range, a WebP the same matrix and the limited range.
  const range = format === 'jpeg' ? 'full' : 'limited';
  if (!hdr) {
    return [
      `scale=${width}:${height}:flags=bicubic:out_color_matrix=bt601:out_range=${range}`,
      'format=yuv420p',
    ];
  }
  return [
    `scale=${width}:${height}:flags=bicubic`,
    // The light of an SDR white, 203 cd/m², is what tones are measured by (ITU-R BT.2408).
    'zscale=transfer=linear:npl=203',
    'format=gbrpf32le',
    'zscale=primaries=bt709',
    'tonemap=tonemap=mobius:desat=0',
    `zscale=transfer=bt709:matrix=170m:range=${range}`,
    'format=yuv420p',
  ];
}
