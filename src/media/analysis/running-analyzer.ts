import type { Frame } from 'node-av/lib';
import { MediaRejectedError } from '../errors.ts';
import type { Product, ProductError, ProductOutcome, WorkListener } from '../products.ts';
import type { Analyzer, Branch } from './analyzer.ts';
import { type FilterChain, openFilterChain } from './filter-chain.ts';
import type { PictureFormat } from './picture-format.ts';

/** An analyzer at work, which fails alone: it throws nothing but errors of the system. */
export interface RunningAnalyzer {
  /** Whether frames are of any use to it. */
  readonly isOpen: boolean;
  /** Takes a decoded frame with its time in microseconds from the first picture. */
  feed(frame: Frame): Promise<void>;
  progress(fraction: number): void;
  /** Takes no more frames, and tells how it ended. */
  finish(): Promise<void>;
  free(): void;
}

/** Tells how a product ended that could not be made, unless the reason is none of the file's. */
export function toOutcome(product: Product, error: unknown): ProductOutcome {
  // The type wants to know which product it is; an error is the same for all.
  return { product, error: toProductError(error) } as ProductOutcome;
}

/**
 * Starts an analyzer on frames of a format. Whatever goes wrong with it from here on is its outcome.
 * @throws errors of the system, such as a full disk, here and in every method.
 */
export function startAnalyzer(product: Product, { create, listener, format }: StartOptions): RunningAnalyzer {
  let analyzer: Analyzer | null = null;
  let chains: FilterChain[] = [];
  let told = 0;

  function fail(error: unknown): void {
    free();
    listener.onOutcome(toOutcome(product, error));
  }

  function free(): void {
    analyzer = null;
    for (const chain of chains) chain.free();
    chains = [];
  }

  function tell(fraction: number): void {
    // Told again where there is no more of it, for a file may go on behind its end, and work without a word is taken to hang.
    told = Math.max(told, fraction);
    listener.onProgress(product, told);
  }

  async function feed(frame: Frame | null): Promise<void> {
    try {
      for (const chain of chains) await chain.feed(frame);
    } catch (error) {
      fail(error);
    }
  }

  try {
    analyzer = create();
    for (const branch of analyzer.branches) chains.push(open(branch, format));
  } catch (error) {
    fail(error);
  }

  return {
    get isOpen() {
      return analyzer !== null;
    },
    feed,
    free,
    // The end is not told before everything is written.
    progress: (fraction) => tell(Math.min(fraction, 0.99)),
    async finish() {
      await feed(null);
      if (!analyzer) return;
      try {
        const result = await analyzer.finish();
        tell(1);
        // An analyzer's product and its result belong together by its type, which is lost among several.
        listener.onOutcome({ product, result } as ProductOutcome);
      } catch (error) {
        fail(error);
      }
      free();
    },
  };
}

interface StartOptions {
  readonly create: () => Analyzer;
  readonly listener: WorkListener;
  readonly format: PictureFormat;
}

function open(branch: Branch, format: PictureFormat): FilterChain {
  return openFilterChain(branch.filters, format, (frame, at) => branch.onFrame(frame, at));
}

function toProductError(error: unknown): ProductError {
  if (error instanceof MediaRejectedError) return { code: error.code, message: error.message };
  const { code = '', message } = error as NodeJS.ErrnoException;
  // A full disk is no fault of the file.
  if (typeof code === 'string' && /^E[A-Z]+$/.test(code)) throw error;
  return {
    code: 'PROCESSING_CRASHED',
    message: `The pictures of the video file could not be analyzed: ${message.slice(0, 200)}`,
  };
}
