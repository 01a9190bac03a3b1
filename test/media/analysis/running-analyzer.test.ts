import { AV_PIX_FMT_YUV420P, AVCOL_RANGE_MPEG, AVCOL_SPC_BT709 } from 'node-av/constants';
import { expect, it } from 'vitest';
import { startAnalyzer } from '../../../src/media/analysis/running-analyzer.ts';

const format = {
  width: 640,
  height: 360,
  pixelFormat: AV_PIX_FMT_YUV420P,
  pixelFormatName: 'yuv420p',
  pixelAspect: 1,
  colorSpace: AVCOL_SPC_BT709,
  colorRange: AVCOL_RANGE_MPEG,
  hdr: false,
};

it('goes on telling of its work where a file goes on behind its end, for silence would be its end', () => {
  const told: number[] = [];
  const analyzer = startAnalyzer('SCAN_TYPE', {
    create: () => ({ product: 'SCAN_TYPE', branches: [], finish: () => ({ scanType: 'UNKNOWN' }) }),
    listener: { onProgress: (_product, fraction) => told.push(fraction), onOutcome: () => {} },
    format,
  });
  for (const fraction of [0.5, 1.2, 1.3]) analyzer.progress(fraction);
  expect(told).toEqual([0.5, 0.99, 0.99]);
});
