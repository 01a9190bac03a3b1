import type { StoredRequirements } from '../db/tables/indexes.ts';

/** The rules a video must meet; all bounds inclusive; pixels, seconds and bytes. */
export type Requirements = Required<StoredRequirements>;

const LOWER_BOUNDS = ['minWidth', 'minHeight', 'minAspectRatio', 'minDuration'] as const;
const UPPER_BOUNDS = ['maxWidth', 'maxHeight', 'maxAspectRatio', 'maxDuration', 'maxSize'] as const;

/** The rules in force where several hold: of each bound the most restrictive. */
export function mostRestrictive(
  server: Requirements,
  ...others: readonly StoredRequirements[]
): Requirements {
  const strictest = { ...server };
  for (const rules of others) {
    for (const bound of LOWER_BOUNDS) strictest[bound] = Math.max(strictest[bound], rules[bound] ?? 0);
    for (const bound of UPPER_BOUNDS)
      strictest[bound] = Math.min(strictest[bound], rules[bound] ?? Number.POSITIVE_INFINITY);
  }
  return strictest;
}
