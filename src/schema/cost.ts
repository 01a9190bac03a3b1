import { GraphQLError, type GraphQLField, getNamedType, isObjectType } from 'graphql';
import { TOO_COMPLEX } from '../services/errors.ts';

/**
 * What an operation may cost, in objects that its answer may hold. A page of 100 tasks with all that belongs to them costs
 * about 1,000; lists within lists within lists of 60 each, 216,000.
 */
export const MAX_COST = 20_000;

const DEFAULT_PAGE = 10;
/** An event names at most so many tasks, and so many files. */
const EVENT_ENTRIES = 100;
const EVENT_LISTS: ReadonlySet<string> = new Set(['changed', 'rejected']);

interface PageArgs {
  readonly first?: number | null;
  readonly last?: number | null;
}

/** Each object costs 1, and what is below a list counts as often as the list may have entries. What is no object costs nothing. */
export function costOf(args: object, _context: object, field: GraphQLField<unknown, never>) {
  const { name } = field;
  const type = getNamedType(field.type);
  if (!isObjectType(type)) return { field: 0, multiplier: 1 };
  const { first, last }: PageArgs = args;
  if (type.name.endsWith('Connection')) {
    // Sizes that are out of bounds are refused when the page is read.
    return { field: 1, multiplier: Math.max(0, first ?? last ?? DEFAULT_PAGE) };
  }
  return { field: 1, multiplier: EVENT_LISTS.has(name) ? EVENT_ENTRIES : 1 };
}

/** The answer to an operation that would cost more. */
export function tooComplex(): GraphQLError {
  return new GraphQLError(TOO_COMPLEX, { extensions: { code: 'QUERY_TOO_COMPLEX' } });
}
