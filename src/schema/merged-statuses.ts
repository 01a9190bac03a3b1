import { aliasedTable, type SQL, sql } from 'drizzle-orm';
import { tasks } from '../db/tables/tasks.ts';
import { type Columns, type Condition, condition } from '../services/condition.ts';
import type { SeveralStatuses } from '../services/list-indexes.ts';
import type { PageQuery } from './keyset.ts';

/**
 * Narrows a page of tasks of several statuses to the rows that it has. No index has such a list in its order, and PostgreSQL
 * would go through all tasks of a team for some that are at its end; but each status has one, of which the page needs its own
 * length at most. What is asked of the rows is asked of them all the same.
 * @returns null where a status has none in the page's order
 */
export function mergeStatuses(
  { statuses, owner, ownerId }: SeveralStatuses,
  { orderBy, within, limit }: PageQuery,
): Condition | null {
  const by = orderBy.createdAt === undefined ? 'updatedAt' : 'createdAt';
  const direction = orderBy[by];
  if (direction === undefined || (by === 'updatedAt' && owner === 'index')) return null;
  const bounds = within.map(({ RAW }) => RAW);
  const text = textOf({ owner, by, direction, limit }, bounds);
  return condition(text, statuses, ownerId, ...bounds.flatMap(({ values }) => values));
}

type Bound = Condition['RAW'];
type Text = (
  table: Columns,
  statuses: readonly string[],
  ownerId: string,
  ...values: readonly unknown[]
) => SQL;

/** One for each kind of page, so that its statement is kept; the texts of bounds are few, too. */
const texts = new Map<string, { readonly bounds: readonly Bound['text'][]; readonly text: Text }[]>();

interface Kind {
  readonly owner: SeveralStatuses['owner'];
  readonly by: 'createdAt' | 'updatedAt';
  readonly direction: 'asc' | 'desc';
  readonly limit: number;
}

function textOf(kind: Kind, bounds: readonly Bound[]): Text {
  const name = Object.values(kind).join(' ');
  const alike = texts.get(name) ?? [];
  texts.set(name, alike);
  const known = alike.find(
    (each) =>
      each.bounds.length === bounds.length && each.bounds.every((text, at) => text === bounds[at]?.text),
  );
  if (known !== undefined) return known.text;
  const text = writeText(kind, bounds);
  alike.push({ bounds: bounds.map((bound) => bound.text), text });
  return text;
}

// The columns of tasks, under a name that no other part of a statement has.
const rows = aliasedTable(tasks, 'of_status') as unknown as Columns;
const IS_OF = {
  index: (id: string) => sql`${rows.indexId} = ${id}`,
  // As the index has it, see the filter of a status.
  team: (id: string) => sql`${rows.teamId}::text = ${id}`,
};

function writeText({ owner, by, direction, limit }: Kind, bounds: readonly Bound[]): Text {
  const to = sql.raw(direction);
  // As text: PostgreSQL takes a limit that it does not know for a tenth of all rows.
  const most = sql.raw(String(limit));
  const lengths = bounds.map(({ values }) => values.length);
  const pieces = bounds.map(({ text }) => text);
  return (table, statuses, ownerId, ...values) => {
    let from = 0;
    const within = pieces.map((text, at) => {
      const own = values.slice(from, from + (lengths[at] ?? 0));
      from += own.length;
      return sql` and ${text(rows, ...own)}`;
    });
    return sql`${table.id} = any(array(
      select merged.id
        from unnest(${sql.param(statuses)}::text[]) wanted (status)
       cross join lateral (
         select ${rows.id}, ${rows[by]} as at
           from tasks of_status
          where ${rows.status} = wanted.status and ${IS_OF[owner](ownerId)}${sql.join(within)}
          order by ${rows[by]} ${to}, ${rows.id} ${to}
          limit ${most}) merged
       order by merged.at ${to}, merged.id ${to}
       limit ${most}))`;
  };
}
