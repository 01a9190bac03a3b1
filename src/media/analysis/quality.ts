import type { Frame } from 'node-av/lib';
import type { Analyzer, AnalyzerOptions, PictureFacts } from './analyzer.ts';
import { measureLuma } from './luma.ts';
import { judgeQuality, type PictureMeasures } from './quality-scale.ts';

/** Seconds between two pictures at least, and how many are measured at most. */
const SHORTEST_STEP = 0.5;
const MOST_PICTURES = 100;
/** Larger pictures are made smaller, so that a figure means the same for all and costs no more than this. */
const LONGEST_SIDE = 1280;

/** Judges the QUALITY of pictures by themselves: there is no original to compare them to. */
export function createQualityAnalyzer({ facts }: AnalyzerOptions): Analyzer<'QUALITY'> {
  const pictures: PictureMeasures[] = [];
  return {
    product: 'QUALITY',
    branches: [
      {
        filters: filtersFor(facts),
        onFrame(frame) {
          if (pictures.length < MOST_PICTURES) pictures.push(measure(frame));
        },
      },
    ],
    finish: () => judgeQuality(pictures),
  };
}

function filtersFor({ duration, width, height }: PictureFacts): string {
  const step = Math.max(SHORTEST_STEP, duration / MOST_PICTURES);
  const place = (time: string) => `floor((${time}+0.002)/${step.toFixed(4)})`;
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  const even = (side: number) => Math.max(2, Math.round((side * scale) / 2) * 2);
  return [
    `select='isnan(prev_selected_t)+gt(${place('t')},${place('prev_selected_t')})'`,
    ...(scale < 1 ? [`scale=${even(width)}:${even(height)}:flags=area`] : []),
    'format=yuv420p',
    'blurdetect',
  ].join(',');
}

function measure(frame: Frame): PictureMeasures {
  using metadata = frame.getMetadata();
  const blur = Number(metadata.get('lavfi.blur') ?? Number.NaN);
  const [plane] = frame.data ?? [];
  const [stride = frame.width] = frame.linesize;
  const luma = plane && measureLuma({ plane, stride, width: frame.width, height: frame.height });
  return {
    // A picture without any edge has none that could be blurred.
    blur: Number.isFinite(blur) && blur > 0 ? blur : null,
    noise: luma?.noise ?? null,
    brightness: luma?.brightness ?? null,
    contrast: luma?.contrast ?? null,
  };
}
