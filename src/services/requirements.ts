import type { StoredRequirements } from '../db/tables/indexes.ts';
import type { AnalyzerName } from '../db/tables/products.ts';

/** The rules a video must meet; all bounds inclusive; pixels, seconds and bytes. */
export type Requirements = Required<StoredRequirements>;

const LOWER_BOUNDS = ['minWidth', 'minHeight', 'minAspectRatio', 'minDuration'] as const;
const UPPER_BOUNDS = ['maxWidth', 'maxHeight', 'maxAspectRatio', 'maxDuration', 'maxSize'] as const;

/**
 * What an analyzer asks of every video of an index that it is chosen for, whether it runs on that video or not. None asks for
 * anything that the server's rules would not ask for as well.
 */
const ANALYZER_REQUIREMENTS: Readonly<Partial<Record<AnalyzerName, StoredRequirements>>> = {};

/** The rules in force for what comes into an index. */
export function requirementsOf(
  server: Requirements,
  index: { readonly requirements: StoredRequirements; readonly analyzers: readonly AnalyzerName[] },
): Requirements {
  const ofAnalyzers = index.analyzers.map((analyzer) => ANALYZER_REQUIREMENTS[analyzer] ?? {});
  return mostRestrictive(server, index.requirements, ...ofAnalyzers);
}

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
