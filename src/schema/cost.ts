import SchemaBuilder, { BasePlugin, type SchemaTypes } from '@pothos/core';
import { PothosComplexityPlugin } from '@pothos/plugin-complexity';
import { GraphQLError, type GraphQLField, type GraphQLFieldResolver, getNamedType } from 'graphql';
import { TOO_COMPLEX } from '../services/errors.ts';
import { PAGE_SIZE } from './page-size.ts';

/**
 * What an operation may cost: about as many values as its answer has when all its pages are full, since the memory that an
 * answer takes goes up with them: some 40 MB for this many. More than twice a page of 100 tasks with all that is known of each.
 */
const MAX_COST = 50_000;

/** Any other value is short; these may be 16 and 8 KiB. */
const LONG_COSTS: ReadonlyMap<string, number> = new Map([
  ['Metadata', 10],
  ['JSON', 10],
]);

/** The cost of a list that is no page, but may be as long. */
export const FULL_PAGE_COST = { field: 1, multiplier: PAGE_SIZE.max };

/** What each field costs, a page as often as it is long, and the error for an operation that costs too much. */
export const costOptions = {
  limit: { complexity: MAX_COST },
  fieldComplexity: (args: PageArgs, _context: unknown, { args: known, type }: Field) => ({
    field: LONG_COSTS.get(getNamedType(type).name) ?? 1,
    multiplier: known.some(({ name }) => name === 'first') ? pageSize(args) : 1,
  }),
  complexityError: () => new GraphQLError(TOO_COMPLEX, { extensions: { code: 'QUERY_TOO_COMPLEX' } }),
};

type Field = Pick<GraphQLField<unknown, unknown>, 'args' | 'type'>;

interface PageArgs {
  readonly first?: unknown;
  readonly last?: unknown;
}

/** A size out of bounds is refused by the list itself, which says what it may be. */
function pageSize({ first, last }: PageArgs): number {
  return Math.min(Math.max(Number(first ?? last ?? PAGE_SIZE.default), 0), PAGE_SIZE.max);
}

type Subscribe<Types extends SchemaTypes> = GraphQLFieldResolver<unknown, Types['Context'], object>;

/** The library looks at what a subscription costs when its first event is there; this does before it begins. */
class SubscriptionCostPlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  readonly #complexity = new PothosComplexityPlugin(this.buildCache, 'complexity');

  override wrapSubscribe(subscribe: Subscribe<Types> | undefined): Subscribe<Types> | undefined {
    return (
      subscribe &&
      ((root, args, context, info) => {
        this.#complexity.checkComplexity(context, info);
        return subscribe(root, args, context, info);
      })
    );
  }
}

declare global {
  export namespace PothosSchemaTypes {
    export interface Plugins<Types extends SchemaTypes> {
      subscriptionCost: SubscriptionCostPlugin<Types>;
    }
  }
}

SchemaBuilder.registerPlugin('subscriptionCost', SubscriptionCostPlugin);
