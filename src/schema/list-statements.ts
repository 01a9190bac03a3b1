import { getSchemaConfig, queryFromInfo } from '@pothos/plugin-drizzle';
import { sql } from 'drizzle-orm';
import type { FieldNode, GraphQLResolveInfo } from 'graphql';
import { LRUCache } from 'lru-cache';
import type { Database } from '../db/client.ts';
import { nameOfStatement } from '../db/named-statements.ts';
import type { tables } from '../db/relations.ts';
import { type Columns, condition } from '../services/condition.ts';
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
  /** Whether one index is right for it, whatever the values are: then it need not be planned for each of them. */
  readonly hasOneIndex: boolean;
  /** Where the rows are selected below the field; as in a connection unless given. */
  readonly paths?: string[][];
}

type RowOf<Table extends ListedTable> = (typeof tables)[Table]['$inferSelect'];

/** A statement that is asked with values. */
interface Statement {
  execute(values: Readonly<Record<string, unknown>>): Promise<unknown>;
}

/** Characters of all statements that are kept of a database. What is kept beside the text grows with it. */
const MAX_TEXT = 512 * 1024;

/** What comes once only is not worth to be kept; what comes as often as this, to be kept by the database, too. */
const NAME_AT = 20;

/** More rows are asked for by their ids nowhere. */
const MOST_BY_ID = 1_000;

interface Kept {
  readonly statement: Statement | null;
  readonly size: number;
  uses: number;
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
  const { where, page } = asked;
  const conditions = { AND: [where, ...page.within] };
  const kind = selectionKindOf(info);
  const shape = kind === 'varying' ? null : shapeOf(conditions);
  if (shape === null) return await readOnce(asked, context, info);
  const statements = keptOf(context.db);
  const key = keyOf(asked, info, shape);
  const known = statements.get(key);
  const uses = (known?.uses ?? 0) + 1;
  if (known?.statement && (uses !== NAME_AT || !asked.hasOneIndex)) {
    known.uses = uses;
    // Beside the selection itself, this notes for the fields below what their rows were read with.
    if (kind === 'related') selected(asked, context, info);
    return await known.statement.execute(shape.values);
  }
  if (known === undefined || dependsOnViewer(asked, context, info)) {
    statements.set(key, { statement: null, size: key.length, uses });
    return await readOnce(asked, context, info);
  }
  const query = { ...selected(asked, context, info), where: shape.template };
  const statement = write(rowsOf(context.db, asked.table), query, uses >= NAME_AT && asked.hasOneIndex);
  statements.set(key, { statement, size: key.length + statement.getQuery().sql.length, uses });
  return await statement.execute(shape.values);
}

async function readOnce(asked: PageOfTable, context: Context, info: GraphQLResolveInfo) {
  const { table, where, page } = asked;
  const conditions = { AND: [where, ...page.within] };
  return await rowsOf(context.db, table).findMany({ ...selected(asked, context, info), where: conditions });
}

/** @param isNamed whether connections keep it */
function write(
  rows: Database['query']['tasks'],
  { limit, ...query }: Omit<PageQuery, 'within'>,
  isNamed: boolean,
) {
  // As text: PostgreSQL takes a limit that it does not know for a tenth of all rows. The builder puts it where it belongs.
  const config = { ...query, limit: sql.raw(String(limit)) as unknown as number };
  const statement = rows.findMany(config).prepare('');
  return isNamed ? rows.findMany(config).prepare(nameOfStatement(statement.getQuery().sql)) : statement;
}

/** What is selected of the rows of a page, and in which order and how many are read, as relational queries take it. */
function selected(
  { page: { within: _, ...page }, paths = PATHS }: PageOfTable,
  context: Context,
  info: GraphQLResolveInfo,
): Omit<PageQuery, 'within'> {
  return queryFromInfo({ config: getSchemaConfig(builder), context, info, paths, ...page });
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
function dependsOnViewer(asked: PageOfTable, context: Context, info: GraphQLResolveInfo): boolean {
  let hasLooked = false;
  const watched: Context = Object.create(context, {
    viewer: {
      get() {
        hasLooked = true;
        return context.viewer;
      },
    },
  });
  selected(asked, watched, info);
  return hasLooked;
}

// As one parameter: a list of them would be another statement for each count. In a kept statement a name stands for it.
const idIsOneOf = ({ id }: Columns, ids: readonly string[]) =>
  sql`${id} = any(${Array.isArray(ids) ? sql.param(ids) : ids}::uuid[])`;

/** Reads rows by their ids, for a field that is one of them or a list of them, by a statement that is kept like that of a page. */
export async function readByIds<Table extends ListedTable>(
  {
    table,
    ids,
    by,
  }: { readonly table: Table; readonly ids: readonly string[]; readonly by: readonly string[] },
  context: Context,
  info: GraphQLResolveInfo,
): Promise<readonly RowOf<Table>[]> {
  if (ids.length === 0) return [];
  const orderBy = Object.fromEntries(by.map((column) => [column, 'asc' as const]));
  const page = { within: [], orderBy, limit: MOST_BY_ID, columns: { id: true as const } };
  const where = condition(idIsOneOf, ids);
  return await readPage({ table, where, page, hasOneIndex: true, paths: [] }, context, info);
}
