import { sql } from 'drizzle-orm';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { createDatabase, type DatabaseClient } from '../../src/db/client.ts';
import { sqlState } from '../../src/db/sql-state.ts';
import { transaction } from '../../src/db/transaction.ts';
import { createTestDatabase } from '../support/database.ts';

test('two transactions that lock each other both come to their end', async () => {
  const { db } = await open();
  await db.execute(sql`create table accounts (id int primary key, balance int not null)`);
  await db.execute(sql`insert into accounts values (1, 0), (2, 0)`);
  let runs = 0;
  const bothHoldOne = createBarrier(2);
  const oneHasEnded = createBarrier(2);
  const move = async (from: number, to: number) => {
    await transaction(db, async (tx) => {
      runs += 1;
      // Whoever is repeated could get in again before the other one has woken up.
      if (runs > 2) await oneHasEnded();
      await tx.execute(sql`update accounts set balance = balance - 1 where id = ${from}`);
      await bothHoldOne();
      await tx.execute(sql`update accounts set balance = balance + 1 where id = ${to}`);
    });
    void oneHasEnded();
  };
  await Promise.all([move(1, 2), move(2, 1)]);
  expect(runs).toBe(3);
  const { rows } = await db.execute(sql`select id, balance from accounts order by id`);
  expect(rows).toEqual([
    { id: 1, balance: 0 },
    { id: 2, balance: 0 },
  ]);
});

test('serializable transactions that contradict each other are repeated', async () => {
  const { db } = await open();
  await db.execute(sql`create table events (kind text)`);
  const bothHaveRead = createBarrier(2);
  const oneHasEnded = createBarrier(2);
  let runs = 0;
  const add = async () => {
    await transaction(
      db,
      async (tx) => {
        runs += 1;
        // Whoever is repeated may not see yet what the other one is just committing.
        if (runs > 2) await oneHasEnded();
        const { rows } = await tx.execute<{ count: number }>(sql`select count(*)::int as count from events`);
        await bothHaveRead();
        await tx.execute(sql`insert into events values (${`after ${rows[0]?.count}`})`);
      },
      { isolationLevel: 'serializable' },
    );
    void oneHasEnded();
  };
  await Promise.all([add(), add()]);
  expect(runs).toBe(3);
  const { rows } = await db.execute(sql`select kind from events order by kind`);
  expect(rows).toEqual([{ kind: 'after 0' }, { kind: 'after 1' }]);
});

test('any other error is thrown after one run, which is rolled back', async () => {
  const { db } = await open();
  await db.execute(sql`create table names (name text primary key)`);
  await db.execute(sql`insert into names values ('taken')`);
  let runs = 0;
  const failure = transaction(db, async (tx) => {
    runs += 1;
    await tx.execute(sql`insert into names values ('new')`);
    await tx.execute(sql`insert into names values ('taken')`);
  });
  const error = await failure.catch((reason: unknown) => reason);
  expect(sqlState(error)).toBe('23505');
  expect(runs).toBe(1);
  const { rows } = await db.execute(sql`select name from names`);
  expect(rows).toEqual([{ name: 'taken' }]);
});

test('a connection that is cut while idle or in use costs its query and nothing else', async () => {
  const { db, pool } = await open();
  const inUse = await pool.connect();
  await pool.query('select 1');
  const running = inUse.query('select pg_sleep(60)');
  const cutOff = expect(running).rejects.toThrow();
  await expect
    .poll(async () => {
      const { rowCount } = await pool.query(
        "select from pg_stat_activity where datname = current_database() and query = 'select pg_sleep(60)'",
      );
      return rowCount;
    })
    .toBe(1);
  await pool
    // Its own connection last: ended earlier, it would not come to the others.
    .query(
      `select pg_terminate_backend(pid)
         from (select pid from pg_stat_activity where datname = current_database()
                order by pid = pg_backend_pid()) everybody`,
    )
    .catch(() => {});
  await cutOff;
  inUse.release(true);
  const { rows } = await db.execute(sql`select 1 as one`);
  expect(rows).toEqual([{ one: 1 }]);
});

test('a statement that runs for too long is ended', async () => {
  // The server ends it, however late its answer comes.
  const { db } = await open({ statementTimeoutMs: 50, answerTimeoutMs: 60_000 });
  const error = await db.execute(sql`select pg_sleep(60)`).catch((reason: unknown) => reason);
  expect(sqlState(error)).toBe('57014');
});

async function open(
  options: { statementTimeoutMs?: number; answerTimeoutMs?: number } = {},
): Promise<DatabaseClient> {
  const { url, drop } = await createTestDatabase();
  const client = createDatabase({
    url,
    log: pino({ level: 'silent' }),
    applicationName: 'test',
    max: 4,
    ...options,
  });
  onTestFinished(async () => {
    await client.close();
    await drop();
  });
  return client;
}

/** Lets callers go on when `count` of them have arrived; later ones at once. */
function createBarrier(count: number): () => Promise<void> {
  let arrived = 0;
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return () => {
    arrived += 1;
    if (arrived >= count) open();
    return opened;
  };
}
