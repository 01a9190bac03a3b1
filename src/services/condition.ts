import type { SQL } from 'drizzle-orm';
import type { AnyPgColumn } from 'drizzle-orm/pg-core';

/** The columns of the table that is being read, under whatever name the statement has for it. */
export type Columns = Readonly<Record<string, AnyPgColumn>>;

/** Writes a condition. It follows from the table and the values alone, and has each value as a parameter. */
export type ConditionText = (table: Columns, ...values: readonly unknown[]) => SQL;

/** A condition in SQL among those that relational queries take, whose text is known apart from its values. */
export interface Condition {
  readonly RAW: ((table: Columns) => SQL) & KnownCondition;
}

interface KnownCondition {
  readonly text: ConditionText;
  readonly values: readonly unknown[];
}

/**
 * A condition in SQL. Its text is made by one and the same function each time, so that a statement with it can be kept and
 * asked with other values.
 */
export function condition<Values extends readonly unknown[]>(
  text: (table: Columns, ...values: Values) => SQL,
  ...values: Values
): Condition {
  // Who writes it with others gives as many of the same kinds, or what stands for them.
  const known = { text: text as unknown as ConditionText, values };
  return { RAW: Object.assign((table: Columns) => text(table, ...values), known) };
}

/** What is known of the SQL of a condition; null where it was not made by `condition`. */
export function knownOf(raw: unknown): KnownCondition | null {
  return typeof raw === 'function' && 'text' in raw && 'values' in raw
    ? (raw as unknown as KnownCondition)
    : null; // as `condition` makes it
}
