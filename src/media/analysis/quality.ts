import type { Frame } from 'node-av/lib';
import type { Analyzer, AnalyzerOptions, PictureFacts } from './analyzer.ts';
import { measureBlocks } from './block-edges.ts';
import { type LumaPlane, measureLuma } from './luma.ts';
import { judgeQuality, type PictureMeasures } from './quality-scale.ts';

/** Seconds between two pictures at least, and how many are measured at most. */
const SHORTEST_STEP = 0.5;
const MOST_PICTURES = 100;
/** Larger pictures are made smaller, so that a figure means the same for all and costs no more than this. */
const LONGEST_SIDE = 1280;
/** Pixels of the middle of the picture, as coded, in which blocks are looked for. */
const MIDDLE = { width: 1280, height: 720 };

/** Judges the QUALITY of pictures by themselves: there is no original to compare them to. */
export function createQualityAnalyzer({ facts }: AnalyzerOptions): Analyzer<'QUALITY'> {
  const pictures: PictureMeasures[] = [];
  const blocks: PictureMeasures[] = [];
  const chosen = selection(facts);
  return {
    product: 'QUALITY',
    branches: [
      {
        filters: [chosen, ...reduction(facts), 'format=yuv420p', 'blurdetect'].join(','),
        onFrame(frame) {
          if (pictures.length < MOST_PICTURES) pictures.push(measure(frame));
        },
      },
      {
        // Of a picture that was made smaller, blocks have no size that is known.
        filters: [chosen, middle(facts), 'format=yuv420p'].join(','),
        onFrame(frame) {
          if (blocks.length < MOST_PICTURES) blocks.push({ blockiness: measureBlocks(lumaOf(frame)) });
        },
      },
    ],
    finish: () => judgeQuality([...pictures, ...blocks]),
  };
}

function selection({ duration }: PictureFacts): string {
  const step = Math.max(SHORTEST_STEP, duration / MOST_PICTURES);
  const place = (time: string) => `floor((${time}+0.002)/${step.toFixed(4)})`;
  return `select='isnan(prev_selected_t)+gt(${place('t')},${place('prev_selected_t')})'`;
}

function reduction({ width, height }: PictureFacts): readonly string[] {
  const scale = LONGEST_SIDE / Math.max(width, height);
  const even = (side: number) => Math.max(2, Math.round((side * scale) / 2) * 2);
  return scale < 1 ? [`scale=${even(width)}:${even(height)}:flags=area`] : [];
}

const middle = ({ width, height }: PictureFacts) =>
  `crop=${Math.min(width, MIDDLE.width)}:${Math.min(height, MIDDLE.height)}`;

function measure(frame: Frame): PictureMeasures {
  using metadata = frame.getMetadata();
  const blur = Number(metadata.get('lavfi.blur') ?? Number.NaN);
  const { noise, ...levels } = measureLuma(lumaOf(frame));
  return {
    ...levels,
    ...(noise === null ? {} : { noise }),
    // A picture without any edge has none that could be blurred.
    ...(Number.isFinite(blur) && blur > 0 ? { blur } : {}),
  };
}

function lumaOf(frame: Frame): LumaPlane {
  const { width, height, data, linesize } = frame;
  const [plane] = data ?? [];
  const [stride = width] = linesize;
  if (!plane) throw new Error('A filtered frame has no pixels.');
  return { plane, stride, width, height };
}
