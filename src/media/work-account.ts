import type { Made } from './believe.ts';
import type { MediaProcessError, MediaRejectedError } from './errors.ts';
import type { Product, ProductError, ProductOutcome, WorkListener } from './products.ts';

/** What a listener was told of a work. */
export interface WorkAccount {
  /** Hands on what is more than was told before, up to 1. */
  progress(product: Product, fraction: number): void;
  made(outcome: Made): void;
  fail(product: Product, error: ProductError): void;
  hasEnded(product: Product): boolean;
  /** Products that ended with an error. */
  failed(): readonly Product[];
  /** Tells nothing from now on. */
  close(): void;
}

/**
 * Hands on what may be told: one outcome for each product, and no progress after it.
 * @param onFault gets what the listener throws
 */
export function createWorkAccount(listener: WorkListener, onFault: (error: unknown) => void): WorkAccount {
  const shown = new Map<Product, number>();
  const ended = new Set<Product>();
  const failed = new Set<Product>();
  let isClosed = false;

  function tell(say: () => void): void {
    try {
      if (!isClosed) say();
    } catch (error) {
      isClosed = true;
      onFault(error);
    }
  }

  function end(outcome: ProductOutcome): void {
    if (ended.has(outcome.product)) return;
    ended.add(outcome.product);
    tell(() => listener.onOutcome(outcome));
  }

  return {
    progress(product, fraction) {
      const now = Math.min(1, fraction);
      if (ended.has(product) || now <= (shown.get(product) ?? 0)) return;
      shown.set(product, now);
      tell(() => listener.onProgress(product, now));
    },
    made: end,
    fail(product, error) {
      failed.add(product);
      // The type wants to know which product it is; an error is the same for all.
      end({ product, error } as ProductOutcome);
    },
    hasEnded: (product) => ended.has(product),
    failed: () => [...failed],
    close: () => {
      isClosed = true;
    },
  };
}

/** A verdict about the file as the error of a product. */
export function toProductError({ code, message }: MediaRejectedError): ProductError {
  return { code, message };
}

const DEATHS = {
  CRASHED: 'The process that worked on the file crashed.',
  TIMEOUT: 'The work on the file took longer than it may take, and was ended.',
  OUT_OF_MEMORY: 'The work on the file needed more memory than it may have, and was ended.',
} as const;

/** The death of a process as the error of the product that it made. */
export function toDeathError({ reason }: MediaProcessError): ProductError {
  return {
    code: reason === 'TIMEOUT' ? 'PROCESSING_TIMEOUT' : 'PROCESSING_CRASHED',
    message: DEATHS[reason],
  };
}
