/** The brightness of a picture, 8 bits a pixel. */
export interface LumaPlane {
  readonly plane: Uint8Array;
  /** Bytes from one row to the next. */
  readonly stride: number;
  readonly width: number;
  readonly height: number;
}

/** In levels of brightness, of which there are 256. */
export interface LumaMeasures {
  /** The standard deviation of noise, where the picture is plainest; null for a picture too small to tell. */
  readonly noise: number | null;
  /** The mean. */
  readonly brightness: number;
  /** From the level that a tenth is below to the one that a tenth is above. */
  readonly contrast: number;
}

const BLOCK = 16;
/** Texture is in some places, noise in all: the plainest tenth has the noise alone. */
const PLAINEST = 0.1;
/** What white noise of deviation 1 comes to, when each pixel is compared with its eight neighbours by weights of 1, 2 and 4: 6 · √(2/π). */
const RESPONSE = 6 * Math.sqrt(2 / Math.PI);

/** Measures one picture. */
export function measureLuma(luma: LumaPlane): LumaMeasures {
  return { noise: noiseOf(luma), ...levelsOf(luma) };
}

function noiseOf(luma: LumaPlane): number | null {
  const blocks: number[] = [];
  for (let top = 1; top + BLOCK < luma.height; top += BLOCK)
    for (let left = 1; left + BLOCK < luma.width; left += BLOCK) blocks.push(unrestOf(luma, top, left));
  blocks.sort((a, b) => a - b);
  return blocks[Math.floor(blocks.length * PLAINEST)] ?? null;
}

/** How much pixels of a block differ from what their neighbours let expect: neither slopes nor straight edges count. */
function unrestOf({ plane, stride }: LumaPlane, top: number, left: number): number {
  const level = (at: number) => plane[at] ?? 0;
  let sum = 0;
  for (let row = top; row < top + BLOCK; row++)
    for (let at = row * stride + left; at < row * stride + left + BLOCK; at++) {
      const [up, down] = [at - stride, at + stride];
      const corners = level(up - 1) + level(up + 1) + level(down - 1) + level(down + 1);
      const sides = level(up) + level(down) + level(at - 1) + level(at + 1);
      sum += Math.abs(corners - 2 * sides + 4 * level(at));
    }
  return sum / (BLOCK * BLOCK * RESPONSE);
}

function levelsOf({ plane, stride, width, height }: LumaPlane): Omit<LumaMeasures, 'noise'> {
  const counts = new Uint32Array(256);
  for (let row = 0; row < height; row++)
    for (let at = row * stride; at < row * stride + width; at++) {
      const level = plane[at] ?? 0;
      counts[level] = (counts[level] ?? 0) + 1;
    }
  const all = width * height;
  let [below, sum, low, high] = [0, 0, 0, 255];
  for (const [level, count] of counts.entries()) {
    if (below <= all * 0.1) low = level;
    if (below < all * 0.9) high = level;
    below += count;
    sum += level * count;
  }
  return { brightness: sum / all, contrast: high - low };
}
