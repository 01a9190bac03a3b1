import { sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import type { imports, StoredInput } from '../db/tables/imports.ts';
import { askedProducts } from './asked-products.ts';
import { recordVerdicts } from './record-verdicts.ts';

type ImportRow = typeof imports.$inferSelect;

/** Makes CANCELED tasks of the entries that have no verdict: nothing that was found is lost, and all of it can be retried. */
export async function cancelUndecided(tx: Transaction, row: ImportRow): Promise<void> {
  const { rows } = await tx.execute<{ ordinal: number; input: StoredInput }>(sql`
    select ordinal, input from import_entries where import_id = ${row.id} and verdict is null order by ordinal`);
  if (rows.length === 0 || row.indexId === null) return;
  const { id, teamId, indexId, systemName, integrationId, incremental, metadata } = row;
  const index = await tx.query.indexes.findFirst({ where: { id: indexId }, columns: { analyzers: true } });
  const products = askedProducts(row, index?.analyzers ?? []);
  const planned = { id, teamId, indexId, systemName, integrationId, incremental, metadata, products };
  await recordVerdicts(
    tx,
    planned,
    rows.map((entry) => ({ ...entry, verdict: { kind: 'CANCELED' as const }, sourceHash: null })),
  );
}
