import type { Product, WorkSettings } from './products.ts';

/** A child that has told of no progress for so long hangs: ten minutes. */
export const SILENCE_MS = 10 * 60_000;

const BASE_SECONDS = 300;
/** Seconds for each second of the file: what one core of a busy machine needs for the largest picture, and twice that. */
const DECODE = 10;
const ENCODE = 20;
/** Bytes that are copied in a second, where the disk is busy. */
const BYTES_PER_SECOND = 4 * 1024 * 1024;

interface Work {
  readonly products: readonly Product[];
  readonly settings: Pick<WorkSettings, 'ladder'>;
  /** In bytes. */
  readonly size: number;
  /** In seconds. */
  readonly duration: number;
}

/**
 * How long one call may take, in milliseconds: five minutes; ten seconds for each second of the file to decode it, or twenty
 * for each rendition of its stream; and a second for 4 MiB. What hangs is found much earlier, by its silence.
 */
export function deadlineOf({ products, settings, size, duration }: Work): number {
  const perSecond = products.includes('STREAM') ? ENCODE * (1 + settings.ladder.length) : DECODE;
  return 1000 * (BASE_SECONDS + perSecond * duration + size / BYTES_PER_SECOND);
}
