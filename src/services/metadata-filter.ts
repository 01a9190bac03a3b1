import { or, type SQL, sql } from 'drizzle-orm';
import type { AnyPgColumn } from 'drizzle-orm/pg-core';
import { BadFilterError } from './errors.ts';
import { checkText } from './filter-values.ts';

/** What is asked of one key of the metadata: exactly one of `equals`, `in` and `exists`. */
export interface MetadataFilter {
  readonly key: string;
  /** Any JSON value: type and value are compared, so that what is no string, number or boolean matches nothing. */
  readonly equals?: unknown;
  readonly in?: readonly unknown[] | null | undefined;
  readonly exists?: boolean | null | undefined;
}

interface Condition {
  readonly RAW: (table: { metadata: AnyPgColumn }) => SQL;
}

const MAX_CONDITIONS = 100;
/** Each value is a condition of its own, for so an index can answer all of them. */
const MAX_VALUES = 100;
const NOTHING = sql`false`;

/**
 * The conditions on metadata that a filter asks for.
 * @throws {BadFilterError} when one asks for none or several things, or they are too many
 */
export function matchesMetadata(filters: readonly MetadataFilter[] | null | undefined): readonly Condition[] {
  if (filters == null) return [];
  if (filters.length > MAX_CONDITIONS)
    throw new BadFilterError(`A filter takes at most ${MAX_CONDITIONS} conditions on metadata.`);
  return filters.map(toCondition);
}

function toCondition(filter: MetadataFilter): Condition {
  const key = checkText(filter.key);
  const { equals, in: values, exists } = filter;
  const given = [equals, values, exists].filter((each) => each != null);
  if (given.length !== 1)
    throw new BadFilterError('A condition on metadata has exactly one of equals, in and exists.');
  if (exists != null)
    return { RAW: ({ metadata }) => sql`coalesce(jsonb_exists(${metadata}, ${key}), false) = ${exists}` };
  const wanted = [...new Set((values ?? [equals]).flatMap((value) => asStored(key, value)))];
  if (wanted.length > MAX_VALUES)
    throw new BadFilterError(`A condition on metadata takes at most ${MAX_VALUES} values.`);
  return {
    RAW: ({ metadata }) => or(...wanted.map((part) => sql`${metadata} @> ${part}::jsonb`)) ?? NOTHING,
  };
}

/** The metadata that holds the value under the key and nothing else, as JSON; none for what metadata cannot hold. */
function asStored(key: string, value: unknown): readonly string[] {
  if (typeof value === 'string') checkText(value);
  else if (typeof value !== 'number' && typeof value !== 'boolean') return [];
  return [JSON.stringify({ [key]: value })];
}
