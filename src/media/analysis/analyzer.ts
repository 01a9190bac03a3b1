import type { Frame } from 'node-av/lib';
import type { Product, ProductResults, WorkSettings } from '../products.ts';

/** What is known of the pictures before the first of them is filtered. */
export interface PictureFacts {
  /** Pixels as coded: neither turned nor made square. */
  readonly width: number;
  readonly height: number;
  /** Width to height of one pixel; 1 when it is not told. */
  readonly pixelAspect: number;
  /** Degrees clockwise by which a picture is turned when shown. */
  readonly rotation: 0 | 90 | 180 | 270;
  /** Pixels as shown. */
  readonly shownWidth: number;
  readonly shownHeight: number;
  /** Seconds from the first picture to the end of the last; greater than 0. */
  readonly duration: number;
  /** Frames a second, on average; null when it is not known. */
  readonly frameRate: number | null;
  /** FFmpeg's name of the pixel format, such as yuv420p. */
  readonly pixelFormat: string;
  /** PQ or HLG: has to be tone-mapped for an SDR picture. */
  readonly hdr: boolean;
}

/**
 * Filters of an analyzer's own; the same decoded frames go into each of all branches. Their clock counts
 * microseconds from the first picture, so that `t` of an expression is what `at` is. All have the size and the
 * pixel format of the first, and a colour space and, where it is HDR, primaries, told or assumed.
 */
export interface Branch {
  /** A chain of filters in FFmpeg's syntax, from decoded frames as coded to what `onFrame` wants. One input, one output. */
  readonly filters: string;
  /** Takes one filtered frame, which is freed afterwards. `at`: seconds from the first picture of the file. */
  onFrame(frame: Frame, at: number): void | Promise<void>;
}

/** Makes one product of the decoded pictures. */
export interface Analyzer<P extends Product = Product> {
  readonly product: P;
  readonly branches: readonly Branch[];
  /** Called once, when every branch has had its last frame. */
  finish(): ProductResults[P] | Promise<ProductResults[P]>;
}

export interface AnalyzerOptions {
  readonly facts: PictureFacts;
  /** Where files are written, in the folder that the product's schema names. */
  readonly folder: string;
  readonly settings: WorkSettings;
}

export type CreateAnalyzer<P extends Product = Product> = (options: AnalyzerOptions) => Analyzer<P>;
