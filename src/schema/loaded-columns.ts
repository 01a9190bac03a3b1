import SchemaBuilder, { BasePlugin, type PothosOutputFieldConfig, type SchemaTypes } from '@pothos/core';
import type { GraphQLFieldResolver } from 'graphql';

type Resolve<Types extends SchemaTypes> = GraphQLFieldResolver<unknown, Types['Context'], object>;

/**
 * Answers a field from its row at once where the row has the columns that the field selects. The library asks for every field
 * of every row what its row was read with, which is most of the work for a page of a list; here the row tells.
 */
class LoadedColumnsPlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  override wrapResolve(resolve: Resolve<Types>, field: PothosOutputFieldConfig<Types>): Resolve<Types> {
    const columns = columnsOf(field);
    // Pothos keeps it as it was given; it takes what `resolve` takes.
    const own = field.resolve as Resolve<Types> | undefined;
    if (columns === null || own === undefined) return resolve;
    return (row, args, context, info) => {
      const answer = isRow(row) && columns.every((column) => column in row) ? own : resolve;
      return answer(row, args, context, info);
    };
  }
}

const isRow = (row: unknown): row is object => typeof row === 'object' && row !== null;

/** The columns of its row that a field is made of; null where it is made of anything else, or that depends on its arguments. */
function columnsOf<Types extends SchemaTypes>({
  extensions,
}: PothosOutputFieldConfig<Types>): readonly string[] | null {
  const selection = extensions?.pothosDrizzleSelect;
  if (typeof selection !== 'object' || selection === null) return null;
  const { columns, ...others } = selection as { readonly columns?: Readonly<Record<string, boolean>> };
  if (columns === undefined || Object.keys(others).length > 0) return null;
  return Object.keys(columns);
}

declare global {
  export namespace PothosSchemaTypes {
    export interface Plugins<Types extends SchemaTypes> {
      loadedColumns: LoadedColumnsPlugin<Types>;
    }
  }
}

SchemaBuilder.registerPlugin('loadedColumns', LoadedColumnsPlugin);
