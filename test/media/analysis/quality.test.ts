import { beforeAll, describe, expect, test } from 'vitest';
import { judgeQuality } from '../../../src/media/analysis/quality-scale.ts';
import { qualitySchema } from '../../../src/media/products.ts';
import { analyze } from '../support/analyze.ts';
import { encodeFilterClip, type FilterClip } from '../support/filter-clip.ts';
import { useFolder } from '../support/pool.ts';

const inFolder = useFolder();
let clips = 0;

async function qualityOf(clip: FilterClip) {
  clips += 1;
  const path = inFolder(`${clips}.mp4`);
  await encodeFilterClip(path, clip);
  return qualitySchema.parse(await analyze(path, 'QUALITY'));
}

const overallOf = async (clip: FilterClip) => (await qualityOf(clip)).overall;

async function overallOfEach(made: readonly FilterClip[]): Promise<readonly number[]> {
  const scores: number[] = [];
  for (const clip of made) scores.push(await overallOf(clip));
  return scores;
}

/** Whether each is less than the one before, by more than what chance would do. */
const falls = (scores: readonly number[]) =>
  scores.every((score, at) => at === 0 || score < (scores[at - 1] ?? 0) - 0.01);

const SOURCES = {
  'drawn pictures': 'testsrc2=s=640x360:r=8:d=2',
  'fine detail': 'mandelbrot=s=640x360:r=8:maxiter=500,trim=duration=2',
};

describe.each(Object.entries(SOURCES))('%s', (name, original) => {
  const path = () => inFolder(`${name.replace(' ', '-')}.mp4`);
  let source = '';
  beforeAll(async () => {
    await encodeFilterClip(path(), { filters: original, crf: 4 });
    source = `movie=${path()}`;
  });

  test('are good as they are, and the worse the more they are compressed', async () => {
    const scores = await overallOfEach([18, 30, 40, 50].map((crf) => ({ filters: source, crf })));
    expect(scores[0]).toBeGreaterThanOrEqual(4);
    expect(scores).toSatisfy(falls);
  });

  test('are the worse the more they are blurred', async () => {
    const blurs = [2, 4, 8].map((sigma) => ({ filters: `${source},gblur=sigma=${sigma}`, crf: 18 }));
    const scores = await overallOfEach([{ filters: source, crf: 18 }, ...blurs]);
    expect(scores).toSatisfy(falls);
    expect(scores.at(-1)).toBeLessThan(2);
  });

  test('get nothing for noise, though it looks like detail', async () => {
    const noises = [10, 25, 60].map((level) => ({
      filters: `${source},noise=alls=${level}:allf=t`,
      crf: 18,
    }));
    expect(await overallOfEach([{ filters: source, crf: 18 }, ...noises])).toSatisfy(falls);
  });
});

test('colour bars are good, and a picture of nothing is in the middle', async () => {
  expect(await overallOf({ filters: 'smptehdbars=s=640x360:r=5:d=2' })).toBeGreaterThanOrEqual(4);
  const gray = await qualityOf({ filters: 'color=gray:s=640x360:r=5:d=2' });
  expect(gray.overall).toBeGreaterThan(1);
  expect(gray.overall).toBeLessThan(3);
  // Without an edge, nothing can be said of how sharp edges are.
  expect(gray.metrics.map(({ name }) => name)).toEqual(['blockiness', 'noise', 'brightness', 'contrast']);
});

test('a size does not change the score much', async () => {
  const [small = 0, large = 0] = await overallOfEach(
    ['640x360', '2560x1440'].map((size) => ({ filters: `testsrc2=s=${size}:r=4:d=1`, crf: 18 })),
  );
  expect(Math.abs(small - large)).toBeLessThan(0.5);
});

test('each metric has its mean in its own unit, a score and a word for it', () => {
  const { overall, metrics } = judgeQuality([
    { blur: 9.5, noise: 2, brightness: 120, contrast: 80 },
    { noise: 4, brightness: 120, contrast: 80 },
    { blockiness: 5 },
  ]);
  expect(metrics).toEqual([
    { name: 'blur', mean: 9.5, score: 3, label: 'Good' },
    { name: 'blockiness', mean: 5, score: 4.2, label: 'Excellent' },
    { name: 'noise', mean: 3, score: 4.2, label: 'Excellent' },
    { name: 'brightness', mean: 120, score: 5, label: 'Excellent' },
    { name: 'contrast', mean: 80, score: 5, label: 'Excellent' },
  ]);
  expect(overall).toBeCloseTo(5 - 2 - 0.08 - 0.8, 5);
});

test('no figure, however absurd, leads out of the scale', () => {
  for (const level of [0, 1e-9, 17, 255, 1e9]) {
    const { overall, metrics } = judgeQuality([
      { blur: level, blockiness: level, noise: level, brightness: level, contrast: level },
    ]);
    for (const score of [overall, ...metrics.map((metric) => metric.score)]) {
      expect(score).toBeGreaterThanOrEqual(0);
      expect(score).toBeLessThanOrEqual(5);
    }
  }
  expect(judgeQuality([])).toEqual({ overall: 2.5, metrics: [] });
});
