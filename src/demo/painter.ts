import type { BarRow } from './bars.ts';
import { drawBars } from './bars.ts';
import type { Palette } from './format.ts';
import { printable } from './format.ts';

/** Where the demo prints to: standard output, or anything that is like it. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  hasColors?(): boolean;
}

/** Shows rows as they change. */
export interface Painter {
  paint(rows: readonly BarRow[]): void;
  /** Draws what was painted last, and lets the output go on below it. */
  close(): void;
}

/** No more than so many pictures a second (ms). */
const FRAME_MS = 50;

/** Bars that are redrawn in place on a terminal; elsewhere one plain line for each change of a status. */
export function createPainter(out: Output, palette: Palette): Painter {
  return out.isTTY === true ? paintInPlace(out, palette) : printChanges(out);
}

function paintInPlace(out: Output, palette: Palette): Painter {
  let drawn = 0;
  let latest: readonly BarRow[] = [];
  let timer: NodeJS.Timeout | undefined;

  const draw = (): void => {
    timer = undefined;
    const space = { columns: out.columns ?? 80, rows: out.rows ?? 24, palette };
    const lines = drawBars(latest, space);
    // Up to the first bar, then every line over its old text, then what is left of an older, longer picture.
    const up = drawn > 0 ? `\u001b[${drawn}A` : '';
    out.write(`\u001b[?25l${up}${lines.map((line) => `\r${line}\u001b[K\n`).join('')}\u001b[J`);
    drawn = lines.length;
  };

  return {
    paint: (rows) => {
      latest = rows;
      timer ??= setTimeout(draw, FRAME_MS);
    },
    close: () => {
      clearTimeout(timer);
      if (latest.length > 0) draw();
      out.write('\u001b[?25h');
    },
  };
}

function printChanges(out: Output): Painter {
  const begun = performance.now();
  const seen = new Map<string, string>();
  return {
    paint: (rows) => {
      for (const { name, state } of rows) {
        if ((seen.get(name) ?? 'WAITING') === state.status) continue;
        seen.set(name, state.status);
        const seconds = ((performance.now() - begun) / 1000).toFixed(1).padStart(5);
        const code = state.code === null ? '' : ` ${state.code}`;
        out.write(`${seconds} s  ${printable(name)}  ${state.status}${code}\n`);
      }
    },
    close: () => {},
  };
}
