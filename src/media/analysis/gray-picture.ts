import { HASHED_SIDE } from './perceptual-hash.ts';

/** Pixels of each side of the small pictures that are looked at. */
export const SIDE = 64;

/** Levels of brightness, row by row, SIDE times SIDE of them. */
export type GrayPicture = Uint8Array;

/** The part of a picture between bars: the first row and column, and the ones behind the last. */
export interface Inside {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

/** A row whose mean is never above this is black, whatever range of levels the file uses. */
const DARKEST = 24;
/** A portrait picture in a landscape frame leaves this much on each side. */
const WIDEST_BAR = 0.36;

/** Collects how bright each row and column ever is. */
export interface Grid {
  add(picture: GrayPicture): void;
  /** What lies between bars that were black in every picture; all of it when nothing would be left. */
  inside(): Inside;
}

/** Begins without any picture. */
export function createGrid(): Grid {
  const rows = new Float64Array(SIDE);
  const columns = new Float64Array(SIDE);
  return {
    add(picture) {
      for (let line = 0; line < SIDE; line++) {
        let [row, column] = [0, 0];
        for (let along = 0; along < SIDE; along++) {
          row += picture[line * SIDE + along] ?? 0;
          column += picture[along * SIDE + line] ?? 0;
        }
        rows[line] = Math.max(rows[line] ?? 0, row / SIDE);
        columns[line] = Math.max(columns[line] ?? 0, column / SIDE);
      }
    },
    inside() {
      const [top, bottom] = between(rows);
      const [left, right] = between(columns);
      return { top, bottom, left, right };
    },
  };
}

function between(lines: Float64Array): readonly [number, number] {
  const first = lines.findIndex((level) => level > DARKEST);
  const last = lines.findLastIndex((level) => level > DARKEST);
  const widest = SIDE * WIDEST_BAR;
  return first < 0 || first > widest || SIDE - 1 - last > widest ? [0, SIDE] : [first, last + 1];
}

/** The part between the bars, made as large as is hashed: each pixel the mean of what it covers. */
export function cropBars(picture: GrayPicture, { top, bottom, left, right }: Inside): Float64Array {
  const columns = sharesOf(left, right);
  const rows = sharesOf(top, bottom);
  const result = new Float64Array(HASHED_SIDE * HASHED_SIDE);
  for (const [y, ofRow] of rows.entries())
    for (const [x, ofColumn] of columns.entries()) {
      let sum = 0;
      for (const row of ofRow)
        for (const column of ofColumn)
          sum += (picture[row.line * SIDE + column.line] ?? 0) * row.share * column.share;
      result[y * HASHED_SIDE + x] = sum;
    }
  return result;
}

/** Which lines each line of the result covers, and by which part of it. */
function sharesOf(from: number, to: number) {
  const length = (to - from) / HASHED_SIDE;
  return Array.from({ length: HASHED_SIDE }, (_, index) => {
    const [start, end] = [from + index * length, from + (index + 1) * length];
    const first = Math.floor(start);
    const count = Math.ceil(end) - first;
    return Array.from({ length: count }, (_, at) => {
      const line = first + at;
      return { line, share: (Math.min(end, line + 1) - Math.max(start, line)) / length };
    });
  });
}
