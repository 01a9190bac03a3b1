import { z } from 'zod';
import type { StoredRequirements } from '../db/tables/indexes.ts';
import { type InputIssue, InvalidInputError } from './errors.ts';
import { mostRestrictive, type Requirements } from './requirements.ts';

type Bound = keyof StoredRequirements;

/** Each bound as it may be given: what is left out stays, null takes the rule away. */
export const requirementsInput = z.object({
  minWidth: z.number().nullish(),
  minHeight: z.number().nullish(),
  maxWidth: z.number().nullish(),
  maxHeight: z.number().nullish(),
  minAspectRatio: z.number().nullish(),
  maxAspectRatio: z.number().nullish(),
  minDuration: z.number().nullish(),
  maxDuration: z.number().nullish(),
  maxSize: z.number().nullish(),
});

type Given = z.output<typeof requirementsInput> | null | undefined;

/** What a bound must be at least to be one at all: an aspect ratio is of the long side to the short one. */
const LEAST: Readonly<Record<Bound, number>> = {
  minWidth: 1,
  minHeight: 1,
  maxWidth: 1,
  maxHeight: 1,
  minAspectRatio: 1,
  maxAspectRatio: 1,
  minDuration: 0,
  maxDuration: 0.001,
  maxSize: 1,
};

/** Where nothing would be left between two bounds, nothing could come in. The height is of the short side. */
const PAIRS: readonly (readonly [Bound, Bound])[] = [
  ['minWidth', 'maxWidth'],
  ['minHeight', 'maxHeight'],
  ['minHeight', 'maxWidth'],
  ['minAspectRatio', 'maxAspectRatio'],
  ['minDuration', 'maxDuration'],
];

/**
 * The rules of an index after a change.
 * @param server the server's rules, which hold in any case
 * @throws {InvalidInputError} when a bound is none, or nothing could come in with it
 */
export function changeRequirements(
  before: StoredRequirements,
  given: Given,
  server: Requirements,
): StoredRequirements {
  if (given === undefined) return before;
  const named = Object.entries(given ?? {}).filter(([, value]) => value !== undefined);
  const merged = given === null ? {} : { ...before, ...Object.fromEntries(named) };
  const after = Object.fromEntries(Object.entries(merged).filter(([, value]) => value != null));
  const issues = problemsOf(
    after,
    new Set(named.flatMap(([name, value]) => (value == null ? [] : name))),
    server,
  );
  if (issues.length > 0) throw new InvalidInputError(issues);
  return after;
}

function problemsOf(
  rules: StoredRequirements,
  given: ReadonlySet<string>,
  server: Requirements,
): InputIssue[] {
  const tooSmall = (Object.keys(LEAST) as Bound[]).flatMap((bound) => {
    const value = rules[bound];
    return value === undefined || !given.has(bound) || value >= LEAST[bound]
      ? []
      : [issue(bound, 'TOO_SMALL', `must be at least ${LEAST[bound]}`)];
  });
  if (tooSmall.length > 0) return tooSmall;
  const inForce = mostRestrictive(server, rules);
  return PAIRS.flatMap(([lower, upper]) => {
    if (inForce[lower] <= inForce[upper]) return [];
    if (given.has(lower))
      return [issue(lower, 'TOO_LARGE', `must be at most ${inForce[upper]}, the ${upper} in force`)];
    if (given.has(upper))
      return [issue(upper, 'TOO_SMALL', `must be at least ${inForce[lower]}, the ${lower} in force`)];
    return [];
  });
}

const issue = (bound: Bound, code: 'TOO_SMALL' | 'TOO_LARGE', message: string): InputIssue => ({
  path: ['input', 'requirements', bound],
  code,
  message,
});
