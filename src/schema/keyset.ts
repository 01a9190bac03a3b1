import { type SQL, sql } from 'drizzle-orm';
import { type Columns, type Condition, condition } from '../services/condition.ts';
import { badUserInput } from './errors.ts';
import { PAGE_SIZE } from './page-size.ts';

/** The arguments of every list. */
export interface PageArgs {
  readonly first?: number | null | undefined;
  readonly last?: number | null | undefined;
  readonly after?: string | null | undefined;
  readonly before?: string | null | undefined;
}

type Direction = 'asc' | 'desc';

/** The order of a list. Rows of the same instant are told apart by id; an ordinal is of one row only. */
export interface ListOrder<Column extends string = 'createdAt' | 'updatedAt' | 'ordinal'> {
  /** What tells this list from any other; part of every cursor, with the order. */
  readonly list: string;
  readonly by: Column;
  readonly direction: Direction;
}

/** Where a row is in its list. */
interface Position {
  /** Milliseconds since 1970, or the ordinal. */
  readonly at: number;
  readonly id: string;
  /** The row that the list belongs to; null for a list of the whole. */
  readonly parentId: string | null;
}

/** A row as far as its position goes. */
export type Positioned = { readonly id: string } & Readonly<
  Partial<Record<'createdAt' | 'updatedAt', Date> & Record<'ordinal', number>>
>;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const MAX_CURSOR_LENGTH = 400;
/** PostgreSQL reads neither the year 0 nor years of five digits as ISO 8601 writes them. */
const [FIRST_INSTANT, LAST_INSTANT] = [
  Date.parse('0001-01-01T00:00:00Z'),
  Date.parse('9999-12-31T23:59:59.999Z'),
];

/** What makes the cursor of each row of a list, or of that part of it which belongs to one row. */
function cursorsOf(order: ListOrder, parentId: string | null): (row: Positioned) => string {
  const [name, parent] = [JSON.stringify(nameOf(order)), JSON.stringify(parentId)];
  return (row) => {
    const value = row[order.by];
    if (value === undefined) throw new Error(`a row of ${order.list} was read without ${order.by}`);
    // JSON, put together by hand: a page has up to a hundred, and an id has nothing in it to be escaped.
    return Buffer.from(`[${name},${Number(value)},"${row.id}",${parent}]`).toString('base64url');
  };
}

const nameOf = ({ list, by, direction }: ListOrder) => `${list} ${by} ${direction}`;

function decodeCursor(order: ListOrder, cursor: string): Position | null {
  if (cursor.length > MAX_CURSOR_LENGTH) return null;
  const parts = parse(cursor);
  if (!Array.isArray(parts) || parts.length !== 4) return null;
  const [name, at, id, parentId]: unknown[] = parts;
  if (name !== nameOf(order) || !isPosition(order, at) || !isUuid(id)) return null;
  return parentId === null || isUuid(parentId) ? { at, id, parentId } : null;
}

function parse(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    return null;
  }
}

const isUuid = (value: unknown): value is string => typeof value === 'string' && UUID.test(value);

/** What the column can be compared with. */
function isPosition({ by }: ListOrder, value: unknown): value is number {
  if (typeof value !== 'number' || !Number.isInteger(value)) return false;
  return by === 'ordinal' ? Math.abs(value) < 2 ** 31 : value >= FIRST_INSTANT && value <= LAST_INSTANT;
}

/** A page of a list, as a relational query takes it. */
export interface PageQuery {
  /** Where the page may lie; to be combined with what else is asked of the rows. */
  readonly within: readonly Condition[];
  readonly orderBy: Readonly<Record<string, Direction>>;
  /** One row more than the page has, which tells whether there are further ones. */
  readonly limit: number;
  readonly columns: Readonly<Record<string, true>>;
}

/**
 * What to read for a page. The bounds are comparisons of whole rows, which an index in the list's order starts and ends at:
 * a page reads its own rows and no others, however far down the list it is.
 * @throws BAD_USER_INPUT when the page is out of bounds, or a cursor is not this list's
 */
export function pageQuery(order: ListOrder, args: PageArgs): PageQuery {
  const { first, last, after, before } = args;
  checkSize(args);
  const isBackward = first == null && last != null;
  const direction = isBackward ? opposite(order.direction) : order.direction;
  const bounds = [
    ...(after == null ? [] : [bound(order, positionOf(order, 'after', after), order.direction)]),
    ...(before == null ? [] : [bound(order, positionOf(order, 'before', before), opposite(order.direction))]),
  ];
  return {
    within: bounds,
    orderBy: order.by === 'ordinal' ? { ordinal: direction } : { [order.by]: direction, id: direction },
    limit: (first ?? last ?? PAGE_SIZE.default) + 1,
    columns: { [order.by]: true, id: true },
  };
}

const opposite = (direction: Direction): Direction => (direction === 'asc' ? 'desc' : 'asc');

function checkSize({ first, last }: PageArgs): void {
  if (first != null && last != null) throw badUserInput('A page is given by first or by last, not by both.');
  for (const [name, size] of Object.entries({ first, last })) {
    if (size != null && (size < 0 || size > PAGE_SIZE.max))
      throw badUserInput(`${name} must be 0 to ${PAGE_SIZE.max}, not ${size}.`);
  }
}

function positionOf(order: ListOrder, name: string, cursor: string): Position {
  const position = decodeCursor(order, cursor);
  if (position === null) throw notOfThisList(name);
  return position;
}

const notOfThisList = (name: string) => badUserInput(`${name} is not a cursor of this list.`);

/**
 * Sees to it that the cursors are of the list of this parent. What was read with those of another one must not be told: it is
 * no page of either.
 * @throws BAD_USER_INPUT
 */
export function checkParent(order: ListOrder, { after, before }: PageArgs, parentId: string): void {
  for (const [name, cursor] of Object.entries({ after, before })) {
    if (cursor != null && positionOf(order, name, cursor).parentId !== parentId) throw notOfThisList(name);
  }
}

/** What comes behind a position in the given direction. */
function bound({ by }: ListOrder, { at, id }: Position, direction: Direction): Condition {
  return by === 'ordinal'
    ? condition(BEHIND.ordinal[direction], at)
    : condition(BEHIND[by][direction], new Date(at).toISOString(), id);
}

// Every table that is listed has the columns of its orders.
const behindOrdinal = (than: SQL) => (table: Columns, at: number) => sql`${table.ordinal} ${than} ${at}`;
const behindInstant =
  (by: 'createdAt' | 'updatedAt', than: SQL) => (table: Columns, at: string, id: string) =>
    sql`(${table[by]}, ${table.id}) ${than} (${at}::timestamptz, ${id}::uuid)`;
const [MORE, LESS] = [sql.raw('>'), sql.raw('<')];
const BEHIND = {
  ordinal: { asc: behindOrdinal(MORE), desc: behindOrdinal(LESS) },
  createdAt: { asc: behindInstant('createdAt', MORE), desc: behindInstant('createdAt', LESS) },
  updatedAt: { asc: behindInstant('updatedAt', MORE), desc: behindInstant('updatedAt', LESS) },
};

/** A page of a list as connections are resolved from it. */
export interface Connection<Row> {
  readonly edges: { readonly cursor: string; readonly node: Row }[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
}

interface Read<Row> {
  readonly order: ListOrder;
  readonly args: PageArgs;
  /** In the order that they were read in, with the row beyond the page if there is one. */
  readonly rows: readonly Row[];
  readonly parentId: string | null;
}

/** The page that was read. Of the side that it was not read towards, it is known that there is more when a cursor led there. */
export function toConnection<Row extends Positioned>({
  order,
  args,
  rows,
  parentId,
}: Read<Row>): Connection<Row> {
  const size = args.first ?? args.last ?? PAGE_SIZE.default;
  const isBackward = args.first == null && args.last != null;
  const hasMore = rows.length > size;
  const page = rows.slice(0, size);
  if (isBackward) page.reverse();
  const cursorOf = cursorsOf(order, parentId);
  const edges = page.map((node) => ({ cursor: cursorOf(node), node }));
  return {
    edges,
    pageInfo: {
      hasNextPage: args.before != null || (!isBackward && hasMore),
      hasPreviousPage: args.after != null || (isBackward && hasMore),
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}
