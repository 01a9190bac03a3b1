import { type Frame, Rational } from 'node-av/lib';
import { CLOCK_UNITS, type FilterChain, openFilterChain } from './filter-chain.ts';
import { formatOf, hasFormat, type PictureFormat, stamp } from './picture-format.ts';
import type { RunningAnalyzer } from './running-analyzer.ts';

/** The way of decoded pictures to all analyzers. */
export interface PicturePass {
  /** Takes a picture and its time in seconds; false once nobody wants any more. */
  take(picture: Frame, at: number): Promise<boolean>;
  finish(): Promise<void>;
  free(): void;
}

export interface PicturePassOptions {
  /** Seconds, for the progress. */
  readonly duration: number;
  /** What the container tells of all pictures. */
  readonly told: { readonly pixelAspect: number; readonly hdr: boolean };
  readonly format: PictureFormat;
  readonly analyzers: readonly RunningAnalyzer[];
}

/** How often progress is told, in ms. */
const PROGRESS_MS = 100;

/**
 * Gives every picture to every analyzer, on one clock and in one format: pictures that change their size in
 * the middle of a file are scaled to that of the first.
 * @throws errors of the system.
 */
export function createPicturePass({ duration, told, format, analyzers }: PicturePassOptions): PicturePass {
  let adapter: { readonly from: PictureFormat; readonly chain: FilterChain } | null = null;
  let toldAt = 0;

  async function feed(picture: Frame): Promise<void> {
    stamp(picture, format);
    for (const analyzer of analyzers) if (analyzer.isOpen) await analyzer.feed(picture);
  }

  function adapterFor(picture: Frame): FilterChain {
    if (adapter && hasFormat(picture, adapter.from)) return adapter.chain;
    adapter?.chain.free();
    adapter = null;
    const from = formatOf(picture, told);
    const filters = `scale=${format.width}:${format.height}:flags=bilinear,format=${format.pixelFormatName}`;
    const chain = openFilterChain(filters, from, feed);
    adapter = { from, chain };
    return chain;
  }

  function tellProgress(at: number): void {
    const now = performance.now();
    if (now - toldAt < PROGRESS_MS) return;
    toldAt = now;
    for (const analyzer of analyzers) if (analyzer.isOpen) analyzer.progress(at / duration);
  }

  return {
    async take(picture, at) {
      picture.timeBase = new Rational(1, CLOCK_UNITS);
      picture.pts = BigInt(Math.round(at * CLOCK_UNITS));
      picture.duration = 0n;
      if (hasFormat(picture, format)) await feed(picture);
      else await adapterFor(picture).feed(picture);
      tellProgress(at);
      return analyzers.some(({ isOpen }) => isOpen);
    },
    async finish() {
      for (const analyzer of analyzers) if (analyzer.isOpen) await analyzer.finish();
    },
    free() {
      adapter?.chain.free();
      for (const analyzer of analyzers) analyzer.free();
    },
  };
}
