/** A hard cut: when the first picture behind it is shown, and by how much that differs from the one before. */
export interface Cut {
  readonly at: number;
  readonly strength: number;
}

/** Finds hard cuts in a film's pictures, seen very small. */
export interface CutDetector {
  /**
   * Takes the next picture, three planes of bytes of one size, and when it is shown in seconds. All
   * pictures are of one size. Answers with the cuts that are certain by now, in order.
   */
  push(pixels: Uint8Array, at: number): readonly Cut[];
  /** Up to which time every cut has been told. */
  readonly decidedUntil: number;
}

interface Seen {
  readonly pixels: Uint8Array;
  readonly at: number;
  /** Mean difference of the pixels to the picture before. */
  readonly change: number;
}

/** How far around a cut is looked, in seconds: what is back after that was a flash, or a scene too short to be one. */
const AROUND = 0.5;
/** How many pictures of each side are looked at in any case, for there may be few in a second. */
const LEAST_AROUND = 2;
/** How many pictures of each side are compared with each other. */
const MOST_COMPARED = 8;
/** Mean difference of pixels, of 255, that a cut is at least. */
const LEAST_CHANGE = 6;
/** What part of its pixels a cut changes: a hand before the camera changes less, however fast it comes. */
const LEAST_COVERAGE = 0.45;
/** By how much a pixel has to change for that, its three components together. */
const CHANGED = 24;
/** How many times more a picture has to change than those around it: a pan changes all of them. */
const LEAST_RATIO = 3;
/** How much of the change has to be there still between any picture before and any behind. */
const LASTING = 0.5;

/**
 * A cut is a change that is large, larger than those around it, and lasts. Fades and dissolves are none, for
 * they have no such picture; flashes and flicker are none, for the picture before is back soon.
 */
export function createCutDetector(): CutDetector {
  let seen: Seen[] = [];
  let next = 1;

  function isDue(at: number): boolean {
    const judged = seen[next];
    return judged !== undefined && at - judged.at >= AROUND && seen.length - 1 - next >= LEAST_AROUND;
  }

  function forget(): void {
    const since = (seen[next]?.at ?? 0) - 2 * AROUND;
    const kept = seen.findIndex((one, index) => one.at >= since || index >= next - LEAST_AROUND - 1);
    seen = seen.slice(kept);
    next -= kept;
  }

  return {
    get decidedUntil() {
      return seen[next]?.at ?? Number.NEGATIVE_INFINITY;
    },
    push(pixels, at) {
      const latest = seen.at(-1);
      seen.push({ pixels, at, change: latest ? difference(latest.pixels, pixels) : 0 });
      const cuts: Cut[] = [];
      for (; isDue(at); next += 1) cuts.push(...judge(seen, next));
      forget();
      return cuts;
    },
  };
}

/** The cut before the picture at `index`, or none. */
function judge(seen: readonly Seen[], index: number): readonly Cut[] {
  const self = seen[index];
  const last = seen[index - 1];
  if (!self || !last || self.change < LEAST_CHANGE) return [];
  const isNear = (other: Seen) => Math.abs(other.at - self.at) <= AROUND;
  const around = seen.filter(
    (other, place) => place !== index && (isNear(other) || Math.abs(place - index) <= LEAST_AROUND),
  );
  const usual = around.reduce((sum, { change }) => sum + change, 0) / around.length;
  if (self.change < usual * LEAST_RATIO) return [];
  if (coverage(last.pixels, self.pixels) < LEAST_COVERAGE) return [];
  const before = spread([...seen.slice(0, index - 1).filter(isNear), last]);
  const behind = spread([self, ...seen.slice(index + 1).filter(isNear)]);
  const lasts = before.every((old) =>
    behind.every((young) => difference(old.pixels, young.pixels) >= self.change * LASTING),
  );
  return lasts ? [{ at: self.at, strength: self.change }] : [];
}

/** Some of many, the first and the last among them. */
function spread<T>(many: readonly T[]): readonly T[] {
  if (many.length <= MOST_COMPARED) return many;
  const step = (many.length - 1) / (MOST_COMPARED - 1);
  return Array.from({ length: MOST_COMPARED }, (_, index) => many[Math.round(index * step)]).filter(
    (one) => one !== undefined,
  );
}

function difference(one: Uint8Array, other: Uint8Array): number {
  let sum = 0;
  for (let index = 0; index < one.length; index++) sum += Math.abs((one[index] ?? 0) - (other[index] ?? 0));
  return sum / Math.max(1, one.length);
}

/** What part of the pixels has changed. */
function coverage(one: Uint8Array, other: Uint8Array): number {
  const pixels = one.length / 3;
  const change = (index: number) => Math.abs((one[index] ?? 0) - (other[index] ?? 0));
  let changed = 0;
  for (let index = 0; index < pixels; index++) {
    if (change(index) + change(index + pixels) + change(index + 2 * pixels) > CHANGED) changed += 1;
  }
  return changed / Math.max(1, pixels);
}
