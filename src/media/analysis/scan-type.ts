import { AV_FRAME_FLAG_INTERLACED } from 'node-av/constants';
import type { Analyzer, AnalyzerOptions } from './analyzer.ts';
import { decideScanType, type FieldWindow, type LookOfFields } from './field-order.ts';

/** Seconds; up to this all pictures are looked at. */
const SHORT = 30;
/** Of longer ones, so many parts of so many seconds. */
const WINDOWS = 8;
const WINDOW_SECONDS = 3;
/** Pictures whose flags are read: one in so many. */
const FLAGS_EVERY = 10;

/** Finds out the SCAN_TYPE: how the two fields of each picture lie to those of its neighbours, by FFmpeg's idet. */
export function createScanTypeAnalyzer({ facts }: AnalyzerOptions): Analyzer<'SCAN_TYPE'> {
  const { duration } = facts;
  const period = duration > SHORT ? duration / WINDOWS : Number.POSITIVE_INFINITY;
  const windows = new Map<number, LookOfFields[]>();
  const flags = { interlaced: 0, all: 0 };
  const chosen = Number.isFinite(period)
    ? [`select='lt(mod(t,${period.toFixed(3)}),${WINDOW_SECONDS})'`]
    : [];
  return {
    product: 'SCAN_TYPE',
    branches: [
      {
        // It changes the flags of what it looks at.
        filters: [...chosen, 'idet'].join(','),
        onFrame(frame, at) {
          using metadata = frame.getMetadata();
          const number = Math.floor(at / period);
          const window = windows.get(number) ?? [];
          windows.set(number, window);
          window.push({
            lines: metadata.get('lavfi.idet.single.current_frame'),
            repeated: metadata.get('lavfi.idet.repeated.current_frame'),
          });
        },
      },
      {
        filters: [...chosen, `framestep=${FLAGS_EVERY}`].join(','),
        onFrame(frame) {
          flags.all += 1;
          if (frame.flags & AV_FRAME_FLAG_INTERLACED) flags.interlaced += 1;
        },
      },
    ],
    finish() {
      const all: readonly FieldWindow[] = [...windows.values()];
      return { scanType: decideScanType(all, { isFlagged: flags.interlaced * 2 > flags.all }) };
    },
  };
}
