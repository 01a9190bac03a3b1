import { and, eq, relationsFilterToSQL, type SQL, sql } from 'drizzle-orm';
import type { AnyPgColumn } from 'drizzle-orm/pg-core';
import { type GraphQLResolveInfo, Kind } from 'graphql';
import { relations, tables } from '../db/relations.ts';
import { countRows, type ListedTable } from '../services/count-rows.ts';
import type { SeveralStatuses } from '../services/list-indexes.ts';
import type { Context } from './context.ts';
import { checkParent, type ListOrder, type PageArgs, pageQuery, toConnection } from './keyset.ts';
import { PATHS, readPage } from './list-statements.ts';
import { mergeStatuses } from './merged-statuses.ts';

/** How a list of the whole is read. */
interface List<Table extends ListedTable> {
  readonly order: ListOrder;
  readonly table: Table;
  /** Which rows it has, as relational queries take it. */
  readonly where: object;
  readonly hasOneIndex: boolean;
  /** Of tasks: what makes its pages those of several lists. */
  readonly statuses?: SeveralStatuses | null;
}

/**
 * Resolves a list: its page by one statement, with all that is selected below it; rows and count only if somebody asks.
 * @throws BAD_USER_INPUT when the page is out of bounds, or a cursor is not this list's
 */
export async function readList<Table extends ListedTable>(
  {
    args,
    context,
    info,
  }: { readonly args: PageArgs; readonly context: Context; readonly info: GraphQLResolveInfo },
  { order, table, where, hasOneIndex, statuses }: List<Table>,
) {
  const page = pageQuery(order, args);
  const merged = statuses && mergeStatuses(statuses, page);
  const narrowed = merged ? { where: { AND: [where, merged] }, hasOneIndex: true } : { where, hasOneIndex };
  const found = onlyCounts(info) ? [] : await readPage({ table, page, ...narrowed }, context, info);
  const count = () => countRows(context.db, table, where);
  return { ...toConnection({ order, args, rows: found, parentId: null }), totalCount: count };
}

/** Whether nothing is selected of a connection but its count. Whatever is in a fragment counts as something else. */
function onlyCounts({ fieldNodes }: GraphQLResolveInfo): boolean {
  const selected = fieldNodes.flatMap(({ selectionSet }) => selectionSet?.selections ?? []);
  return selected.every((node) => node.kind === Kind.FIELD && COUNT_FIELDS.includes(node.name.value));
}

const COUNT_FIELDS = ['totalCount', '__typename'];

type RelatedTable = 'tasks' | 'failedFiles';

/** A list of the rows that belong to another one, which has them as a relation. */
interface RelatedList<Table extends RelatedTable, Args> {
  /** The relation has the same name. */
  readonly table: Table;
  /** The name of their type. */
  readonly type: string;
  /** The column that names the row they belong to. */
  readonly owner: AnyPgColumn;
  readonly order: ListOrder;
  readonly where?: (args: Args, context: Context) => object;
}

/** What a selection is told beside its arguments. */
type Nested = (query: object, path: { getType: () => string; paths: object[][] }) => object;
type Selected = () => ReadonlySet<string>;

/**
 * What makes a field of a row a list of rows that belong to it: they are read by the same statement as the row, and their
 * count with it if somebody asks. Cursors hold for the list of one row only.
 *
 * The selection is declared the way the library declares its own related connections, which know neither whose list a
 * cursor is of nor comparisons that an index can start at.
 */
export function relatedList<Table extends RelatedTable, Args extends PageArgs = PageArgs>({
  table,
  type,
  owner,
  order,
  where = () => ({}),
}: RelatedList<Table, Args>) {
  const countKey = `${table}Count`;
  const select = (args: Args, context: Context, nested: Nested, selected: Selected) => {
    const { within, ...page } = pageQuery(order, args);
    const conditions = where(args, context);
    const names = [...selected()];
    const path = { getType: () => type, paths: PATHS.map((names) => names.map((name) => ({ name }))) };
    const read = () => nested({ ...page, where: { AND: [conditions, ...within] } }, path);
    const count = (row: { readonly id: AnyPgColumn }) => countOfOwner(table, conditions, eq(owner, row.id));
    return {
      columns: { id: true },
      with: names.every((name) => COUNT_FIELDS.includes(name)) ? {} : { [table]: read() },
      extras: names.includes('totalCount') ? { [countKey]: count } : {},
    };
  };
  return {
    extensions: { pothosDrizzleSelect: select },
    resolve(row: { readonly id: string }, args: PageArgs) {
      checkParent(order, args, row.id);
      // What the selection has added to the row; its rows are not there when only their count was asked for.
      const selected = row as unknown as Partial<Record<Table, (typeof tables)[Table]['$inferSelect'][]>> &
        Record<string, unknown>;
      const page = toConnection({ order, args, rows: selected[table] ?? [], parentId: row.id });
      return { ...page, totalCount: Number(selected[countKey] ?? 0) };
    },
  };
}

/** How many rows meet the conditions and belong to the row that is being read. */
function countOfOwner(table: RelatedTable, conditions: object, belongs: SQL): SQL<number> {
  const { relations: ofTable } = relations[table];
  const filter = relationsFilterToSQL(tables[table], conditions, ofTable, relations);
  return sql<number>`(select count(*)::int from ${tables[table]} where ${and(belongs, filter)})`;
}

/** The count of a connection, computed only when it is asked for. */
export function countOf({
  totalCount,
}: {
  readonly totalCount?: number | (() => number | Promise<number>) | null;
}): number | Promise<number> {
  return typeof totalCount === 'function' ? totalCount() : (totalCount ?? 0);
}
