import type { ProductResults } from '../products.ts';

/** What is measured of one picture; null for what it does not tell. */
export interface PictureMeasures {
  /** The width of edges in pixels, by FFmpeg's blurdetect. */
  readonly blur: number | null;
  /** The other three in levels of brightness, see LumaMeasures. */
  readonly noise: number | null;
  readonly brightness: number | null;
  readonly contrast: number | null;
}

type Metric = keyof PictureMeasures;
type Quality = ProductResults['QUALITY'];

/** Where a figure has which score; between two of them it goes straight. The table in ARCHITECTURE.md says where they come from. */
const SCALES: Readonly<Record<Metric, readonly (readonly [figure: number, score: number])[]>> = {
  blur: [
    [3, 5],
    [5, 4.75],
    [7.6, 4.1],
    [9, 3],
    [12, 2],
    [18, 1],
    [35, 0],
  ],
  noise: [
    [0.5, 5],
    [3, 4.2],
    [7, 3],
    [14, 1.5],
    [30, 0],
  ],
  brightness: [
    [18, 0],
    [45, 5],
    [205, 5],
    [235, 0],
  ],
  contrast: [
    [4, 0],
    [40, 5],
  ],
};

/** What a point that is missing to 5 takes from the overall score. Levels may be meant: night is dark, and fog is gray. */
const WEIGHTS: Readonly<Record<Metric, number>> = { blur: 1, noise: 1, brightness: 0.1, contrast: 0.1 };

/** The overall score of pictures without an edge: nothing speaks for them, nor against. */
const NOTHING_TO_SEE = 2.5;

const LABELS = ['Bad', 'Poor', 'Fair', 'Good', 'Excellent'] as const;

/**
 * Scores what was measured. The overall score is 5, less what the metrics are missing: a noisy picture seems sharp, so that scores
 * that are averaged would reward noise.
 */
export function judgeQuality(pictures: readonly PictureMeasures[]): Quality {
  const names = Object.keys(SCALES) as Metric[]; // Object.keys forgets them
  const metrics = names.flatMap((name) => {
    const mean = meanOf(pictures.flatMap((picture) => picture[name] ?? []));
    return mean === null ? [] : [{ name, mean, score: scoreOf(name, mean) }];
  });
  const missing = metrics.reduce((sum, { name, score }) => sum + (5 - score) * WEIGHTS[name], 0);
  const most = metrics.some(({ name }) => name === 'blur') ? 5 : NOTHING_TO_SEE;
  return {
    overall: Math.max(0, most - missing),
    metrics: metrics.map(({ name, mean, score }) => ({ name, mean, score, label: labelOf(score) })),
  };
}

const meanOf = (figures: readonly number[]) =>
  figures.length === 0 ? null : figures.reduce((sum, figure) => sum + figure, 0) / figures.length;

function scoreOf(metric: Metric, figure: number): number {
  const scale = SCALES[metric];
  const above = scale.findIndex(([bound]) => bound >= figure);
  const [upper, lower] = [scale.at(above), scale[above - 1]];
  if (!upper || !lower) return upper?.[1] ?? 0;
  return lower[1] + ((figure - lower[0]) / (upper[0] - lower[0])) * (upper[1] - lower[1]);
}

/** Five of them, one for each point. */
const labelOf = (score: number) => LABELS[Math.min(4, Math.floor(score))] ?? 'Bad';
