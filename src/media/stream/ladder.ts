import type { Size } from '../picture.ts';

/** The pixels of a picture as shown, even in both directions as 4:2:0 wants them. */
export function evenSize({ width, height }: Size): Size {
  return { width: even(width), height: even(height) };
}

/**
 * The sizes of the further renditions, from the largest to the smallest.
 * @param shown the original's pixels as shown.
 * @param ladder pixels of short sides; those not below the original's are left out.
 */
export function ladderSizes(shown: Size, ladder: readonly number[]): readonly Size[] {
  const short = Math.min(shown.width, shown.height);
  return [...new Set(ladder)]
    .filter((side) => side >= 2 && side < short)
    .sort((one, other) => other - one)
    .map((side) => evenSize({ width: (shown.width * side) / short, height: (shown.height * side) / short }));
}

function even(pixels: number): number {
  return Math.max(2, Math.round(pixels / 2) * 2);
}
