export interface Size {
  readonly width: number;
  readonly height: number;
}

const LONGEST_SIDE = 16_384;
const MOST_PIXELS = 134_217_728;

/** Whether a picture of this size may be decoded at all. */
export function isDecodable({ width, height }: Size): boolean {
  return (
    width >= 1 &&
    height >= 1 &&
    width <= LONGEST_SIDE &&
    height <= LONGEST_SIDE &&
    width * height <= MOST_PIXELS
  );
}

/**
 * Degrees clockwise by which a picture is turned when shown: 0, 90, 180 or 270, the nearest. `matrix`:
 * FFmpeg's display matrix, nine 32-bit numbers in the machine's byte order, the first two rows 16.16 fixed
 * point (libavutil/display.h); null for none.
 */
export function rotationOf(matrix: Buffer | null): number {
  if (!matrix || matrix.length < 36) return 0;
  const read = (index: number) =>
    littleEndian() ? matrix.readInt32LE(index * 4) : matrix.readInt32BE(index * 4);
  const [a, b, c, d] = [read(0), read(1), read(3), read(4)];
  const scaleX = Math.hypot(a, c);
  const scaleY = Math.hypot(b, d);
  if (scaleX === 0 || scaleY === 0) return 0;
  const degrees = (Math.atan2(b / scaleY, a / scaleX) * 180) / Math.PI;
  return (((Math.round(degrees / 90) * 90) % 360) + 360) % 360;
}

function littleEndian(): boolean {
  return new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
}

/**
 * The picture as it is shown: pixels made square by widening, then turned. `pixelAspect`: width to height of
 * one pixel.
 */
export function shownSize(coded: Size, pixelAspect: number, rotation: number): Size {
  const plausible = Number.isFinite(pixelAspect) && pixelAspect >= 0.05 && pixelAspect <= 20;
  const width = Math.max(1, Math.round(coded.width * (plausible ? pixelAspect : 1)));
  return rotation % 180 === 0 ? { width, height: coded.height } : { width: coded.height, height: width };
}
