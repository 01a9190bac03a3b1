const MAX_SECONDS = 15 * 60;
const MAX_RETRY_AFTER_SECONDS = 60 * 60;
const JITTER = 0.2;

interface BackoffOptions {
  readonly baseSeconds: number;
  /** Failures before this one: 0 for the first. */
  readonly earlierFailures: number;
  readonly retryAfterSeconds?: number | undefined;
  /** 0 ≤ random < 1; Math.random unless given. */
  readonly random?: () => number;
}

/**
 * Seconds to wait before a job that failed is tried again: base · 2ⁿ, at most 15 minutes, ± 20 % so that what failed
 * together does not come back together; the other side's Retry-After when that is longer, but at most one hour.
 */
export function backoffSeconds(options: BackoffOptions): number {
  const { baseSeconds, earlierFailures, retryAfterSeconds = 0, random = Math.random } = options;
  const own = jitter(Math.min(baseSeconds * 2 ** earlierFailures, MAX_SECONDS), random);
  const asked = Number.isFinite(retryAfterSeconds) ? Math.min(retryAfterSeconds, MAX_RETRY_AFTER_SECONDS) : 0;
  return Math.max(own, asked);
}

/** `value` ± 20 %. */
export function jitter(value: number, random: () => number = Math.random): number {
  return value * (1 - JITTER + 2 * JITTER * random());
}
