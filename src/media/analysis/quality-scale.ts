import type { ProductResults } from '../products.ts';

/** What is measured of one picture; nothing of what it does not tell. */
export interface PictureMeasures {
  /** The width of edges in pixels, by FFmpeg's blurdetect. */
  readonly blur?: number;
  /** How much of it shows the blocks of its codec, in percent. */
  readonly blockiness?: number;
  /** The other three in levels of brightness, see LumaMeasures. */
  readonly noise?: number;
  readonly brightness?: number;
  readonly contrast?: number;
}

type Metric = keyof PictureMeasures;
type Quality = ProductResults['QUALITY'];

/** Where a figure has which score; between two of them it goes straight. The table in ARCHITECTURE.md says where they come from. */
const SCALES: Readonly<Record<Metric, readonly (readonly [figure: number, score: number])[]>> = {
  blur: [
    [3, 5],
    [5, 4.75],
    [8, 4.1],
    [9.5, 3],
    [12, 2],
    [18, 1],
    [35, 0],
  ],
  blockiness: [
    [3, 5],
    [5, 4.2],
    [8, 3.3],
    [15, 2.4],
    [25, 1.5],
    [35, 0.8],
    [50, 0],
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

/** What the smaller of two losses counts, and one that may be meant: night is dark, and fog is gray. */
const MINOR = 0.1;

/** The overall score of pictures without an edge: nothing speaks for them, nor against. */
const NOTHING_TO_SEE = 2.5;

const LABELS = ['Bad', 'Poor', 'Fair', 'Good', 'Excellent'] as const;

/**
 * Scores what was measured. The overall score is 5, less what the metrics are short of 5. A codec that loses much blurs or leaves
 * blocks, whose edges are sharp, so that the worse of the two counts; noise counts in full, for it seems sharp.
 */
export function judgeQuality(pictures: readonly PictureMeasures[]): Quality {
  const names = Object.keys(SCALES) as Metric[]; // Object.keys forgets them
  const metrics = names.flatMap((name) => {
    const mean = meanOf(pictures.flatMap((picture) => picture[name] ?? []));
    if (mean === null) return [];
    const score = scoreOf(name, mean);
    return [{ name, mean, score, label: labelOf(score) }];
  });
  const loss = (name: Metric) => 5 - (metrics.find((metric) => metric.name === name)?.score ?? 5);
  const [blur, blocks] = [loss('blur'), loss('blockiness')];
  const details = Math.max(blur, blocks) + MINOR * Math.min(blur, blocks);
  const levels = MINOR * (loss('brightness') + loss('contrast'));
  const most = metrics.some(({ name }) => name === 'blur') ? 5 : NOTHING_TO_SEE;
  return { overall: Math.max(0, most - details - loss('noise') - levels), metrics };
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
