import type { Still } from './still.ts';

/** Every third pixel of every third line tells enough of a picture. */
const STRIDE = 3;
/** Somewhat darker than the middle, as most of what people film. */
const USUAL_BRIGHTNESS = 110;

/**
 * How good a picture stands for a film, 0 to 1: one that is black, white, blank or in the middle of a fade has
 * little of everything, a good one many tones, contrast and sharp edges.
 */
export function scoreStill(still: Still): number {
  const { entropy, mean, deviation, edges } = measure(still);
  const tones = Math.min(1, entropy / 7);
  const contrast = Math.min(1, deviation / 55);
  const sharpness = Math.min(1, edges / 12);
  const exposure = Math.max(0, 1 - ((mean - USUAL_BRIGHTNESS) / 128) ** 2);
  return 0.4 * tones + 0.2 * contrast + 0.25 * sharpness + 0.15 * exposure;
}

interface Measures {
  /** Bits a pixel. */
  readonly entropy: number;
  readonly mean: number;
  readonly deviation: number;
  /** Mean difference of a pixel and its neighbour. */
  readonly edges: number;
}

function measure({ bytes, width, height }: Still): Measures {
  const counts = new Uint32Array(256);
  let [sum, squares, edges, pixels] = [0, 0, 0, 0];
  for (let y = 0; y < height; y += STRIDE) {
    for (let x = 0; x + 1 < width; x += STRIDE) {
      const value = bytes[y * width + x] ?? 0;
      counts[value] = (counts[value] ?? 0) + 1;
      sum += value;
      squares += value * value;
      edges += Math.abs(value - (bytes[y * width + x + 1] ?? 0));
      pixels += 1;
    }
  }
  const mean = sum / pixels;
  const deviation = Math.sqrt(Math.max(0, squares / pixels - mean * mean));
  return { entropy: entropyOf(counts, pixels), mean, deviation, edges: edges / pixels };
}

function entropyOf(counts: Uint32Array, pixels: number): number {
  let entropy = 0;
  for (const count of counts) if (count > 0) entropy -= (count / pixels) * Math.log2(count / pixels);
  return entropy;
}
