import type { WebhookState } from '../db/tables/webhooks.ts';

/** After how many seconds the next try follows the first that failed, the second and so on: the schedule of Standard Webhooks 1.0. */
const WAITS = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400] as const;
/** What failed at the same time does not come back at the same time: a wait is up to so much longer. */
const JITTER = 0.1;
/** The receiver wants no more of it. */
const GONE = 410;

/** How a try ended. */
export interface Result {
  /** Null when no answer came. */
  readonly statusCode: number | null;
  /** How long the receiver asks us to wait. */
  readonly retryAfterSeconds?: number | undefined;
}

/** What follows a try. */
export type NextStep =
  | { readonly state: Exclude<WebhookState, 'WAITING' | 'RETRYING'> }
  | { readonly state: 'RETRYING'; readonly waitSeconds: number };

/** Whether a message with this answer has arrived. */
export const isDelivered = (statusCode: number | null): boolean =>
  statusCode !== null && statusCode >= 200 && statusCode < 300;

/**
 * What follows a try: the end, or another one.
 * @param failures how many have failed before it
 * @param scale what the waits of the schedule are multiplied by
 */
export function nextStep(
  { statusCode, retryAfterSeconds = 0 }: Result,
  failures: number,
  scale: number,
): NextStep {
  if (isDelivered(statusCode)) return { state: 'DELIVERED' };
  const wait = WAITS[failures];
  if (statusCode === GONE || wait === undefined) return { state: 'GAVE_UP' };
  const planned = wait * scale * (1 + JITTER * Math.random());
  return { state: 'RETRYING', waitSeconds: Math.max(planned, retryAfterSeconds) };
}
