import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { Logger } from 'pino';
import { sqlState } from './sql-state.ts';

/**
 * Each connection keeps what it has parsed and planned under a name until it closes, some 50 KB each: this many names at most.
 */
const MAX_NAMES = 64;

/**
 * What PostgreSQL answers where a connection does not have the statement that it should have, or has it already: behind a
 * proxy that pools by transaction, each one may run on another connection. Or where its columns have changed meanwhile.
 */
const NOT_KEPT = new Set(['26000', '42P05', '0A000']);

/**
 * The name for a statement that is to be kept. It stands for this text and for no other one, also in another process or in
 * another version of Sluice, which may share connections of a proxy with this one.
 */
export function nameOfStatement(text: string): string {
  return `sluice_${createHash('sha256').update(text).digest('hex').slice(0, 40)}`;
}

/** A statement that is asked again and again, with the name that it is kept by. */
export interface NamedStatement {
  readonly name: string;
  readonly text: string;
}

/** @param text with $1, $2 and so on for its values */
export const namedStatement = (text: string): NamedStatement => ({ name: nameOfStatement(text), text });

/** Asks one, outside of transactions. */
export const askNamed = <Row extends object>(
  { $client }: { readonly $client: pg.Pool },
  statement: NamedStatement,
  values: readonly unknown[],
): Promise<pg.QueryResult<Row>> =>
  $client.query<Row & pg.QueryResultRow>({ ...statement, values: [...values] });

/**
 * Lets statements that a pool is handed with a name, see above, be kept by its connections, so that they are parsed once, and
 * planned once if their plan is the same for all values. Where one turns out not to be kept, no other one is from then on, and
 * it is asked again without a name: so only what is a transaction by itself may have one, for whose failure undoes it.
 */
export function keepNamed(pool: pg.Pool, log: Logger): void {
  const query = pool.query.bind(pool) as (config: unknown, values: unknown) => Promise<unknown>;
  const names = new Set<string>();
  let isKept = true;
  const mayKeep = (name: string): boolean => {
    if (!isKept) return false;
    if (names.size < MAX_NAMES) names.add(name);
    return names.has(name);
  };
  const queryNamed = async (config: NamedQuery, values: unknown): Promise<unknown> => {
    const { name, ...nameless } = config;
    if (!mayKeep(name)) return await query(nameless, values);
    try {
      return await query(config, values);
    } catch (error) {
      if (!NOT_KEPT.has(sqlState(error) ?? '')) throw error;
      if (isKept) log.info({ err: error }, 'statements are not kept by connections to the database any more');
      isKept = false;
      return await query(nameless, values);
    }
  };
  const queryAny = (config: unknown, ...rest: unknown[]): unknown =>
    isNamed(config) ? queryNamed(config, rest[0]) : query(config, rest[0]);
  // As the query builder and this code base call it: with a promise, and no callback.
  pool.query = queryAny as typeof pool.query;
}

interface NamedQuery {
  readonly name: string;
}

const isNamed = (config: unknown): config is NamedQuery =>
  typeof config === 'object' &&
  config !== null &&
  'name' in config &&
  typeof config.name === 'string' &&
  config.name !== '';
