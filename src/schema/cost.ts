import SchemaBuilder, { BasePlugin, type PothosOutputFieldConfig, type SchemaTypes } from '@pothos/core';
import { PothosComplexityPlugin } from '@pothos/plugin-complexity';
import {
  GraphQLError,
  type GraphQLField,
  type GraphQLFieldResolver,
  type GraphQLResolveInfo,
  getNamedType,
  Kind,
  type OperationDefinitionNode,
  type VariableDefinitionNode,
} from 'graphql';
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
  // The plugin below says when.
  disabled: true,
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

/** How many sets of page sizes are remembered of a document. */
const MAX_REMEMBERED = 100;

type Resolve<Types extends SchemaTypes> = GraphQLFieldResolver<unknown, Types['Context'], object>;
type Subscribe<Types extends SchemaTypes> = GraphQLFieldResolver<unknown, Types['Context'], object>;

/**
 * Has the library look at what an operation costs before anything of it runs; it would look at a subscription's when the first
 * event is there, and go through the document each time. Only page sizes make an operation cost more than another one of its
 * document, and these are Ints.
 */
class CostPlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  readonly #complexity = new PothosComplexityPlugin(this.buildCache, 'complexity');
  readonly #passed = new WeakMap<OperationDefinitionNode, Set<string>>();

  override wrapResolve(resolve: Resolve<Types>, { kind }: PothosOutputFieldConfig<Types>): Resolve<Types> {
    if (kind !== 'Query' && kind !== 'Mutation') return resolve;
    return (root, args, context, info) => {
      this.#check(context, info);
      return resolve(root, args, context, info);
    };
  }

  override wrapSubscribe(subscribe: Subscribe<Types> | undefined): Subscribe<Types> | undefined {
    return (
      subscribe &&
      ((root, args, context, info) => {
        this.#check(context, info);
        return subscribe(root, args, context, info);
      })
    );
  }

  #check(context: Types['Context'], info: GraphQLResolveInfo): void {
    const passed = this.#passed.get(info.operation) ?? new Set();
    this.#passed.set(info.operation, passed);
    const sizes = sizesOf(info);
    if (passed.has(sizes)) return;
    this.#complexity.checkComplexity(context, info);
    if (passed.size >= MAX_REMEMBERED) passed.clear();
    passed.add(sizes);
  }
}

/** The values of all variables that may be page sizes. */
function sizesOf({ operation, variableValues }: GraphQLResolveInfo): string {
  const names = (operation.variableDefinitions ?? [])
    .filter(isInt)
    .map(({ variable }) => variable.name.value);
  return names.map((name) => String(variableValues[name])).join();
}

function isInt({ type }: VariableDefinitionNode): boolean {
  const named = type.kind === Kind.NON_NULL_TYPE ? type.type : type;
  return named.kind === Kind.NAMED_TYPE && named.name.value === 'Int';
}

declare global {
  export namespace PothosSchemaTypes {
    export interface Plugins<Types extends SchemaTypes> {
      cost: CostPlugin<Types>;
    }
  }
}

SchemaBuilder.registerPlugin('cost', CostPlugin);
