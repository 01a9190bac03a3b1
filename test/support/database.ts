import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import { waitFor } from './wait.ts';

/** The database that all test databases are copies of: migrated and empty. */
export const TEMPLATE_DATABASE = 'sluice_template';

const OBJECT_IN_USE = '55006';

/** A database of one test or one file of tests. */
export interface TestDatabase {
  readonly url: string;
  /** Removes the database; connections still open to it are cut off. */
  drop(): Promise<void>;
}

/** Makes a database with all migrations applied and no rows in it. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await runAsAdmin(`create database ${name} template ${TEMPLATE_DATABASE} strategy file_copy`);
  const url = new URL(inject('databaseUrl'));
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => drop(name) };
}

/** Who is cut off has five seconds to go: on a busy machine that may be too short. */
async function drop(name: string): Promise<void> {
  await waitFor(
    () =>
      runAsAdmin(`drop database if exists ${name} with (force)`).then(
        () => true,
        (error: unknown) => {
          if (error instanceof pg.DatabaseError && error.code === OBJECT_IN_USE) return false;
          throw error;
        },
      ),
    { what: `the end of the connections to ${name}` },
  );
}

async function runAsAdmin(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: inject('databaseUrl') });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
