import { sql } from 'drizzle-orm';
import { type Columns, condition } from './condition.ts';
import { BadFilterError } from './errors.ts';

export type Maybe<T> = T | null | undefined;
export type Range<T> = {
  readonly equals?: Maybe<T>;
  readonly gte?: Maybe<T>;
  readonly lte?: Maybe<T>;
  readonly lt?: Maybe<T>;
};

/** All of its conditions must hold; `contains` ignores case. */
export interface StringFilter {
  readonly equals?: Maybe<string>;
  readonly contains?: Maybe<string>;
  readonly startsWith?: Maybe<string>;
  readonly in?: Maybe<readonly string[]>;
}

/**
 * A text that rows can be compared with.
 * @throws {BadFilterError} for one that no row can hold
 */
export function checkText(text: string): string {
  if (text.includes('\0') || !text.isWellFormed())
    throw new BadFilterError('A filter text must be well-formed and without U+0000.');
  return text;
}

/** Each value is a parameter of the statement, of which PostgreSQL takes 65,535. */
const MAX_VALUES = 10_000;

/** One of the values; none for an empty list. @throws {BadFilterError} when they are too many */
export function isIn<Column extends string, T>(column: Column, values: Maybe<readonly T[]>) {
  if (values == null) return [];
  const distinct = [...new Set(values)];
  if (distinct.length > MAX_VALUES)
    throw new BadFilterError(`A list of a filter takes at most ${MAX_VALUES} values.`);
  return [{ [column]: { in: distinct } }];
}

/** The value itself. */
export const equals = <Column extends string>(column: Column, value: Maybe<string>) =>
  value == null ? [] : [{ [column]: checkText(value) }];

/** In a LIKE pattern % and _ stand for others: here they stand for themselves. */
const literally = (text: string) => checkText(text).replace(/[\\%_]/g, '\\$&');

/** All that a filter asks of a text column. @throws {BadFilterError} when a text cannot be compared to any */
export function matches<Column extends string>(column: Column, filter: Maybe<StringFilter>) {
  if (filter == null) return [];
  const { contains, startsWith } = filter;
  return [
    ...equals(column, filter.equals),
    ...(contains == null ? [] : [{ [column]: { ilike: `%${literally(contains)}%` } }]),
    ...(startsWith == null ? [] : [{ [column]: { like: `${literally(startsWith)}%` } }]),
    ...isIn(column, filter.in?.map(checkText)),
  ];
}

/** What the indexes of file names hold of each: its first characters. */
const INDEXED_CHARACTERS = 255;
const indexed = (text: string) => [...text].slice(0, INDEXED_CHARACTERS).join('');

const LENGTH = sql.raw(String(INDEXED_CHARACTERS));
const beginsWhole = ({ fileName }: Columns, beginning: string) =>
  sql`left(${fileName}, ${LENGTH}) = ${beginning}`;
const beginsLike = ({ fileName }: Columns, pattern: string) =>
  sql`left(${fileName}, ${LENGTH}) like ${pattern}`;
const beginsAsOne = ({ fileName }: Columns, beginnings: readonly string[]) =>
  sql`left(${fileName}, ${LENGTH}) = any(${sql.param(beginnings)}::text[])`;

/** A condition on a file name once more, in the words of the index, which alone would take longer names for the same. */
export function matchesFileName(filter: Maybe<StringFilter>) {
  const { equals: whole, startsWith, in: several } = filter ?? {};
  return [
    ...matches('fileName', filter),
    ...(whole == null ? [] : [condition(beginsWhole, indexed(whole))]),
    ...(startsWith == null ? [] : [condition(beginsLike, `${literally(indexed(startsWith))}%`)]),
    ...(several == null ? [] : [condition(beginsAsOne, several.map(indexed))]),
  ];
}

/** Within the bounds; what is not known is in no range. */
export function within<Column extends string, T>(column: Column, range: Maybe<Range<T>>) {
  if (range == null) return [];
  const bounds = { eq: range.equals, gte: range.gte, lte: range.lte, lt: range.lt };
  const given = Object.entries(bounds).filter(([, bound]) => bound != null);
  return given.map(([operator, bound]) => ({ [column]: { [operator]: bound } }));
}
