import { eq } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import { indexes } from '../db/tables/indexes.ts';
import type { PictureFormat } from '../db/tables/products.ts';
import { ManageError } from './errors.ts';
import { fromPublicId, toPublicId } from './public-ids.ts';

/** An index, as the operator is told of it; null where the server's settings hold. */
export interface IndexEntry {
  readonly id: string;
  readonly name: string;
  readonly teamName: string;
  /** Short sides of further renditions of HLS, in pixels. */
  readonly ladder: readonly number[] | null;
  readonly pictureFormat: PictureFormat | null;
}

/** All indexes, the oldest first. */
export async function listIndexes(db: Database): Promise<readonly IndexEntry[]> {
  const rows = await db.query.indexes.findMany({
    columns: { id: true, name: true, ladder: true, pictureFormat: true },
    with: { team: { columns: { name: true } } },
    orderBy: { createdAt: 'asc', id: 'asc' },
  });
  return rows.map(({ team, ...index }) => ({
    ...index,
    id: toPublicId('Index', index.id),
    teamName: team.name,
  }));
}

/**
 * Sets how products of an index's videos are made, from the next one on.
 * @param index its id or name
 * @param change null: as the server is set; left out: as it is
 * @throws {ManageError} when there is no such index, or several have the name
 */
export async function setIndex(
  db: Database,
  index: string,
  change: { readonly ladder?: number[] | null; readonly pictureFormat?: PictureFormat | null },
): Promise<void> {
  const id = await findIndex(db, index);
  if (Object.keys(change).length === 0) return;
  await db.update(indexes).set(change).where(eq(indexes.id, id));
}

async function findIndex(db: Database, index: string): Promise<string> {
  const id = fromPublicId('Index', index);
  const found = await db
    .select({ id: indexes.id })
    .from(indexes)
    .where(id === null ? eq(indexes.name, index) : eq(indexes.id, id));
  const [one, ...others] = found;
  if (one === undefined)
    throw new ManageError(`there is no index "${index}"; \`sluice indexes list\` shows all`);
  if (others.length > 0)
    throw new ManageError(`several indexes are called "${index}": name the one that is meant by its id`);
  return one.id;
}
