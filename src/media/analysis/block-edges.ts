import type { LumaPlane } from './luma.ts';

/** Codecs cut pictures into blocks whose sides are multiples of this, in pixels. */
const GRID = 8;
/** A step that compression makes, in levels of brightness; larger ones are edges of things. */
const STEP = { least: 2, most: 40 };
/** How much larger it is than what is beside it. */
const STANDS_OUT = 3;

/**
 * How much of the picture shows the blocks of a codec: the percentage of places along the grid with a small step that stands alone,
 * less that of places between. Steps of the picture itself are as frequent in both.
 */
export function measureBlocks({ plane, stride, width, height }: LumaPlane): number {
  const columns = shareOfSteps({ plane, lines: height, next: stride, along: width, by: 1 });
  const rows = shareOfSteps({ plane, lines: width, next: 1, along: height, by: stride });
  return (100 * (columns + rows)) / 2;
}

interface Direction {
  readonly plane: Uint8Array;
  /** How many lines there are, and bytes from one to the next. */
  readonly lines: number;
  readonly next: number;
  /** Pixels of a line, and bytes from one to the next. */
  readonly along: number;
  readonly by: number;
}

/** Where the grid lies is not known: it is where most steps are. */
function shareOfSteps({ plane, lines, next, along, by }: Direction): number {
  const steps = new Float64Array(GRID);
  // Every other line is enough to tell.
  for (let line = 0; line < lines; line += 2)
    for (let place = 2; place < along - 1; place++) {
      const at = line * next + place * by;
      const phase = place % GRID;
      if (standsOut(plane, at, by)) steps[phase] = (steps[phase] ?? 0) + 1;
    }
  const places = (Math.ceil(lines / 2) * Math.max(1, along - 3)) / GRID;
  const shares = [...steps].map((count) => count / places).sort((a, b) => a - b);
  const between = ((shares[3] ?? 0) + (shares[4] ?? 0)) / 2;
  return (shares[GRID - 1] ?? 0) - between;
}

function standsOut(plane: Uint8Array, at: number, by: number): boolean {
  const [before, first = 0, second = 0, after] = [
    plane[at - 2 * by],
    plane[at - by],
    plane[at],
    plane[at + by],
  ];
  const step = Math.abs(second - first);
  if (step < STEP.least || step > STEP.most) return false;
  const beside = Math.max(Math.abs(first - (before ?? first)), Math.abs((after ?? second) - second));
  return beside * STANDS_OUT <= step;
}
