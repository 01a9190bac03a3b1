import { relationsFilterToSQL } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import { relations, tables } from '../db/relations.ts';

/** The tables that have lists of the whole. */
export type ListedTable = 'tasks' | 'imports' | 'videos' | 'indexes' | 'integrations';

/** How many rows of a table meet conditions as relational queries take them. */
export async function countRows(db: Database, table: ListedTable, where: object): Promise<number> {
  const { relations: ofTable } = relations[table];
  return await db.$count(tables[table], relationsFilterToSQL(tables[table], where, ofTable, relations));
}
