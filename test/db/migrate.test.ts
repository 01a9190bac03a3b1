import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { migrate, SchemaTooNewError } from '../../src/db/migrate.ts';
import { DatabaseUnusableError, serverProblem } from '../../src/db/usable.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const log = pino({ level: 'silent' });

test('servers that start at once migrate once', async () => {
  const { url } = await createEmptyDatabase();
  const folder = await createMigrations({
    '20260101000000_first': 'create table first (id int primary key);',
    '20260102000000_second':
      'insert into first values (1);--> statement-breakpoint\ncreate table second (id int);',
  });
  await Promise.all(Array.from({ length: 5 }, () => migrate({ url, log, folder })));
  expect(await query(url, 'select id from first')).toEqual([{ id: 1 }]);
  expect(await query(url, 'select name from drizzle.__drizzle_migrations order by id')).toEqual([
    { name: '20260101000000_first' },
    { name: '20260102000000_second' },
  ]);
});

test('a migration that fails in the middle leaves nothing of itself', async () => {
  const { url } = await createEmptyDatabase();
  const folder = await createMigrations({
    '20260101000000_broken': 'create table half (id int);--> statement-breakpoint\nselect 1 / 0;',
  });
  await expect(migrate({ url, log, folder })).rejects.toThrow();
  expect(await query(url, "select to_regclass('half') as half")).toEqual([{ half: null }]);
});

test('the migrations of the program make its tables, and a second run changes nothing', async () => {
  const { url } = await createEmptyDatabase();
  await migrate({ url, log });
  const catalog = "select count(*)::int as tables from pg_tables where schemaname = 'public'";
  const [after] = await query(url, catalog);
  expect(after?.tables).toBeGreaterThan(10);
  const applied = await query(url, 'select * from drizzle.__drizzle_migrations');
  await migrate({ url, log });
  expect(await query(url, catalog)).toEqual([after]);
  expect(await query(url, 'select * from drizzle.__drizzle_migrations')).toEqual(applied);
});

test('a database that a newer program migrated is refused and left as it is', async () => {
  const { url } = await createEmptyDatabase();
  const newer = await createMigrations({
    '20260101000000_first': 'create table first (id int);',
    '20300101000000_future': 'create table future (id int);',
  });
  await migrate({ url, log, folder: newer });
  const older = await createMigrations({
    '20260101000000_first': 'create table first (id int);',
    '20260201000000_other': 'create table other (id int);',
  });
  const refused = migrate({ url, log, folder: older });
  await expect(refused).rejects.toThrow(SchemaTooNewError);
  await expect(refused).rejects.toMatchObject({ migrations: ['20300101000000_future'] });
  expect(await query(url, "select to_regclass('other') as other")).toEqual([{ other: null }]);
});

describe('a database that cannot be used is refused in one line that says what to do', () => {
  const refusalOf = async (url: string): Promise<string> => {
    const error = await migrate({ url, log }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(DatabaseUnusableError);
    const message = error instanceof Error ? error.message : '';
    expect(message).not.toContain('\n');
    expect(message).not.toContain(new URL(inject('databaseUrl')).password);
    return message;
  };

  test('wrong password', async () => {
    const { url } = await createDatabase();
    const message = await refusalOf(changed(url, { password: 'not-the-password' }));
    expect(message).toMatch(/^The database at 127\.0\.0\.1:\d+\/test_\w+ refused the user or password/);
    expect(message).not.toContain('not-the-password');
  });

  test('nobody listens', async () => {
    // Nobody is given this port by chance, as one that was free a moment ago may be.
    const message = await refusalOf(changed(inject('databaseUrl'), { port: '1' }));
    expect(message).toMatch(/cannot be reached \(connect ECONNREFUSED .*check that it runs/);
  });

  test('a host that does not exist', async () => {
    const message = await refusalOf(changed(inject('databaseUrl'), { hostname: 'database.invalid' }));
    expect(message).toMatch(/database\.invalid.* cannot be reached /);
  });

  test('a database that does not exist', async () => {
    expect(await refusalOf(changed(inject('databaseUrl'), { pathname: '/nothing_here' }))).toContain(
      'create it',
    );
  });

  test('read-only', async () => {
    const { url } = await createDatabase();
    const name = new URL(url).pathname.slice(1);
    await query(inject('databaseUrl'), `alter database ${name} set default_transaction_read_only = on`);
    expect(await refusalOf(url)).toContain('is read-only: set default_transaction_read_only to off');
  });

  test('a user who may not make tables', async () => {
    const { url } = await createEmptyDatabase();
    const user = `guest_${process.pid}`;
    await query(url, `create role ${user} login password 'guest'`);
    onTestFinished(async () => void (await query(inject('databaseUrl'), `drop role ${user}`)));
    expect(await refusalOf(changed(url, { username: user, password: 'guest' }))).toContain(
      'make the user its owner',
    );
  });

  test('a URL that is none', async () => {
    expect(await refusalOf('postgresql://user:secret%@[broken/x')).not.toContain('secret');
  });

  test('an old server, another encoding, a standby', () => {
    const good = { version: 150_000, versionName: '15.0', encoding: 'UTF8', readOnly: false, standby: false };
    expect(serverProblem(good)).toBeUndefined();
    expect(serverProblem({ ...good, version: 149_999, versionName: '14.9' })).toContain(
      'needs version 15 or newer',
    );
    expect(serverProblem({ ...good, encoding: 'SQL_ASCII' })).toContain('create it with encoding UTF8');
    expect(serverProblem({ ...good, standby: true, readOnly: true })).toContain(
      'point DATABASE_URL to the primary',
    );
  });
});

async function createDatabase(): Promise<TestDatabase> {
  const database = await createTestDatabase();
  onTestFinished(database.drop);
  return database;
}

async function createEmptyDatabase(): Promise<TestDatabase> {
  const database = await createDatabase();
  await query(
    database.url,
    'drop schema if exists drizzle cascade; drop schema public cascade; create schema public',
  );
  return database;
}

async function createMigrations(migrations: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-migrations-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const [name, sql] of Object.entries(migrations)) {
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, 'migration.sql'), sql);
  }
  return folder;
}

function changed(
  url: string,
  parts: Partial<Record<'password' | 'username' | 'port' | 'hostname' | 'pathname', string>>,
): string {
  return Object.assign(new URL(url), parts).href;
}

async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}
