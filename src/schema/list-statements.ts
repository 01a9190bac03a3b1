import { getSchemaConfig, queryFromInfo } from '@pothos/plugin-drizzle';
import type { FieldNode, GraphQLResolveInfo } from 'graphql';
import { LRUCache } from 'lru-cache';
import type { Database } from '../db/client.ts';
import type { tables } from '../db/relations.ts';
import type { ListedTable } from '../services/count-rows.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import type { PageQuery } from './keyset.ts';
import { selectionKindOf } from './selection-kind.ts';
import { type Shape, shapeOf } from './statement-shape.ts';

/** Where a connection's rows are selected. */
export const PATHS = [['nodes'], ['edges', 'node']];

/** Which rows of a table are asked for. */
export interface PageOfTable<Table extends ListedTable = ListedTable> {
  readonly table: Table;
  /** As relational queries take them. */
  readonly where: object;
  readonly page: PageQuery;
}

type RowOf<Table extends ListedTable> = (typeof tables)[Table]['$inferSelect'];

/** A statement that is asked with values. */
interface Statement {
  execute(values: Readonly<Record<string, unknown>>): Promise<unknown>;
}

/** Characters of all statements that are kept of a database. What is kept beside the text grows with it. */
const MAX_TEXT = 512 * 1024;

/** `null`: asked once. What comes once only is not worth to be kept. */
interface Kept {
  readonly statement: Statement | null;
  readonly size: number;
}

const kept = new WeakMap<Database, LRUCache<string, Kept>>();

function keptOf(db: Database): LRUCache<string, Kept> {
  const known = kept.get(db);
  if (known !== undefined) return known;
  const made = new LRUCache<string, Kept>({ maxSize: MAX_TEXT, sizeCalculation: ({ size }) => size });
  kept.set(db, made);
  return made;
}

/**
 * Reads the rows of a page, with all that is selected below it. To write such a statement takes longer than all else that is
 * done for a page; so it is kept, and asked with the values of the next page that differs in nothing else: the same field of
 * the same document, and conditions of the same shape. Whose rows are read is among the values.
 */
export async function readPage<Table extends ListedTable>(
  asked: PageOfTable<Table>,
  context: Context,
  info: GraphQLResolveInfo,
): Promise<readonly RowOf<Table>[]> {
  // It is the rows of that table that are read.
  return (await read(asked, context, info)) as readonly RowOf<Table>[];
}

async function read(asked: PageOfTable, context: Context, info: GraphQLResolveInfo): Promise<unknown> {
  const { table, where, page } = asked;
  const conditions = { AND: [where, ...page.within] };
  const kind = selectionKindOf(info);
  const shape = kind === 'varying' ? null : shapeOf(conditions);
  const rows = rowsOf(context.db, table);
  if (shape === null) return await rows.findMany({ ...selected(page, context, info), where: conditions });
  const statements = keptOf(context.db);
  const key = keyOf(asked, info, shape);
  const known = statements.get(key);
  if (known?.statement) {
    // Beside the selection itself, this notes for the fields below what their rows were read with.
    if (kind === 'related') selected(page, context, info);
    return await known.statement.execute(shape.values);
  }
  if (known === undefined || dependsOnViewer(page, context, info)) {
    statements.set(key, { statement: null, size: key.length });
    return await rows.findMany({ ...selected(page, context, info), where: conditions });
  }
  const statement = rows.findMany({ ...selected(page, context, info), where: shape.template }).prepare('');
  statements.set(key, { statement, size: key.length + statement.getQuery().sql.length });
  return await statement.execute(shape.values);
}

/** What is selected of the rows of a page, and in which order and how many are read, as relational queries take it. */
function selected(
  { within: _, ...page }: PageQuery,
  context: Context,
  info: GraphQLResolveInfo,
): Omit<PageQuery, 'within'> {
  return queryFromInfo({ config: getSchemaConfig(builder), context, info, paths: PATHS, ...page });
}

/** The relational queries of all listed tables take what is put together here, and it is typed for none of them. */
const rowsOf = ({ query }: Database, table: ListedTable) => query[table] as Database['query']['tasks'];

const nodeIds = new WeakMap<FieldNode, number>();
let lastNodeId = 0;

function keyOf(
  { table, page }: PageOfTable,
  { fieldNodes: [node] }: GraphQLResolveInfo,
  { text }: Shape,
): string {
  const id = (node && nodeIds.get(node)) ?? ++lastNodeId;
  if (node) nodeIds.set(node, id);
  return `${id} ${table} ${page.limit} ${Object.entries(page.orderBy).join(' ')} ${text}`;
}

/** Whether something that is selected is another thing for another viewer: then it can be kept for nobody. */
function dependsOnViewer(page: PageQuery, context: Context, info: GraphQLResolveInfo): boolean {
  let hasLooked = false;
  const watched: Context = Object.create(context, {
    viewer: {
      get() {
        hasLooked = true;
        return context.viewer;
      },
    },
  });
  selected(page, watched, info);
  return hasLooked;
}
