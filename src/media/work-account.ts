import type { MediaProcessError, MediaRejectedError } from './errors.ts';
import type { Product, ProductError, ProductOutcome, WorkListener } from './products.ts';

/** What a listener was told of a work. */
export interface WorkAccount extends WorkListener {
  hasEnded(product: Product): boolean;
  /** Products that ended with an error. */
  failed(): readonly Product[];
  /** Tells nothing from now on. */
  close(): void;
}

/**
 * Hands on what may be told: progress that is more than was told before, from 0 to 1, and one outcome for each product.
 * @param onFault gets what the listener throws
 */
export function createWorkAccount(listener: WorkListener, onFault: (error: unknown) => void): WorkAccount {
  const shown = new Map<Product, number>();
  const ended = new Map<Product, ProductOutcome>();
  let isClosed = false;

  function tell(say: () => void): void {
    try {
      if (!isClosed) say();
    } catch (error) {
      isClosed = true;
      onFault(error);
    }
  }

  return {
    onProgress(product, fraction) {
      const now = Math.min(1, fraction);
      if (ended.has(product) || now <= (shown.get(product) ?? 0)) return;
      shown.set(product, now);
      tell(() => listener.onProgress(product, now));
    },
    onOutcome(outcome) {
      if (ended.has(outcome.product)) return;
      ended.set(outcome.product, outcome);
      tell(() => listener.onOutcome(outcome));
    },
    hasEnded: (product) => ended.has(product),
    failed: () => [...ended.values()].flatMap((outcome) => ('error' in outcome ? [outcome.product] : [])),
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
