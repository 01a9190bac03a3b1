import { decodeBase64, decodeCursorChunk } from '@pothos/core';
import { type SQL, sql } from 'drizzle-orm';
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

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The order of a list, and the check of its page. The list's name is a last, constant column of the order: it sorts
 * nothing, but is part of every cursor, which so tells whose it is. Rows of the same instant are told apart by id.
 * @param list what tells this list and order from any other
 * @throws BAD_USER_INPUT when the page is out of bounds, or a cursor is not this list's
 */
export function orderedPage<Column extends string>(
  list: string,
  args: PageArgs,
  order: { readonly by: Column; readonly direction: Direction },
) {
  const { by, direction } = order;
  checkPage(list, args, by === 'ordinal' ? isOrdinal : isInstant);
  const orderBy: Record<string, Direction> = { [by]: direction, id: direction, list: direction };
  // sql.raw: the name is ours; as a parameter it would be one more for every page.
  const extras: { list: SQL<string> } = { list: sql<string>`${sql.raw(`'${list}'`)}::text` };
  return { orderBy, extras };
}

type IsPosition = (value: unknown) => boolean;

/** What an integer column can be compared with. */
const isOrdinal: IsPosition = (value) => Number.isInteger(value) && Math.abs(Number(value)) < 2 ** 31;

/** What a timestamp column can be compared with: PostgreSQL reads neither the year 0 nor years of five digits as ISO 8601 writes them. */
const isInstant: IsPosition = (value) =>
  value instanceof Date && value.getUTCFullYear() >= 1 && value.getUTCFullYear() <= 9999;

function checkPage(list: string, { first, last, after, before }: PageArgs, isPosition: IsPosition): void {
  if (first != null && last != null) throw badUserInput('A page is given by first or by last, not by both.');
  for (const [name, size] of Object.entries({ first, last })) {
    if (size != null && (size < 0 || size > PAGE_SIZE.max))
      throw badUserInput(`${name} must be 0 to ${PAGE_SIZE.max}, not ${size}.`);
  }
  for (const [name, cursor] of Object.entries({ after, before })) {
    if (cursor != null && !isCursorOf(list, cursor, isPosition))
      throw badUserInput(`${name} is not a cursor of this list.`);
  }
}

/** Cursors are `DC:` and the values of the order's columns: position, id, list. */
function isCursorOf(list: string, cursor: string, isPosition: IsPosition): boolean {
  try {
    const decoded = decodeBase64(cursor);
    if (!decoded.startsWith('DC:')) return false;
    const values: unknown = decodeCursorChunk(decoded.slice(3));
    if (!Array.isArray(values) || values.length !== 3) return false;
    const [position, id, name] = values;
    return name === list && isPosition(position) && typeof id === 'string' && UUID.test(id);
  } catch {
    return false;
  }
}

/** Tells the row-reading plugin that this field of a connection needs no rows. */
export const countsRows = { extensions: { pothosDrizzleTotalCount: true } };

/** The count of a connection, computed only when it is asked for. */
export function countOf(connection: {
  readonly totalCount?: number | (() => number | Promise<number>) | null;
}): number | Promise<number> {
  const { totalCount } = connection;
  return typeof totalCount === 'function' ? totalCount() : (totalCount ?? 0);
}
