import { fileURLToPath } from 'node:url';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { migrate as applyMigrations } from 'drizzle-orm/node-postgres/migrator';
import type pg from 'pg';
import type { Logger } from 'pino';
import { connectForMigration, explainDatabaseError } from './usable.ts';

// One number for every Sluice server on a database; any constant does, as long as it never changes.
const MIGRATION_LOCK = 7_310_597_164_211_001n;

/** Thrown when the database was migrated by a newer version of the program than this one. */
export class SchemaTooNewError extends Error {
  override readonly name = 'SchemaTooNewError';
  /** The migrations that this program does not have, oldest first. */
  readonly migrations: readonly string[];

  constructor(migrations: readonly string[]) {
    super(
      `The database is newer than this program: it has the migration ${migrations.join(', ')}, which this version does not know. Start the newer version, or restore an older backup.`,
    );
    this.migrations = migrations;
  }
}

/** What to migrate. */
export interface MigrateOptions {
  readonly url: string;
  readonly log: Logger;
  /** The folder of `<timestamp>_<name>/migration.sql`; that of the program when not given. */
  readonly folder?: string;
}

/**
 * Applies the migrations that the database does not have yet, all in one transaction and under an advisory
 * lock: of several servers that start at once one does it, the others wait and find nothing left to do.
 *
 * @throws SchemaTooNewError when the database has migrations that this program does not have
 * @throws DatabaseUnusableError when the database cannot be reached, is read-only or too old, with one line on what to do
 */
export async function migrate(options: MigrateOptions): Promise<void> {
  const { url, log, folder = fileURLToPath(new URL('../../migrations', import.meta.url)) } = options;
  const known = readMigrationFiles({ migrationsFolder: folder }).map(({ name }) => name);
  const client = await connectForMigration(url, log);
  try {
    await migrateWith(client, { known, folder, log });
  } catch (error) {
    throw explainDatabaseError(error, url);
  } finally {
    await client.end().catch(() => {});
  }
}

interface Work {
  readonly known: readonly string[];
  readonly folder: string;
  readonly log: Logger;
}

async function migrateWith(client: pg.Client, { known, folder, log }: Work): Promise<void> {
  await drizzle({ client }).transaction(async (tx) => {
    // The lock belongs to the transaction and not to the session: behind a pooling proxy the next statement
    // of a session may run on another connection.
    await client.query('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    const applied = await appliedMigrations(client);
    const unknown = applied.filter((name) => !known.includes(name));
    if (unknown.length > 0) throw new SchemaTooNewError(unknown);
    const missing = known.filter((name) => !applied.includes(name));
    if (missing.length === 0) return;
    log.info({ migrations: missing }, 'migrating the database');
    // A transaction has everything that the migrator uses of a database; its type does not say so.
    await applyMigrations(tx as unknown as NodePgDatabase, { migrationsFolder: folder });
  });
}

async function appliedMigrations(client: pg.Client): Promise<readonly string[]> {
  const table = await client.query(
    "select to_regclass('drizzle.__drizzle_migrations') is not null as exists",
  );
  if (!table.rows[0]?.exists) return [];
  const applied = await client.query('select name from drizzle.__drizzle_migrations order by name');
  return applied.rows.map(({ name }) => String(name));
}
