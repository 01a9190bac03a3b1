import { setTimeout as sleep } from 'node:timers/promises';
import { drizzle } from 'drizzle-orm/node-postgres';
import type { PgTransactionConfig } from 'drizzle-orm/pg-core';
import type { Database, Transaction } from './client.ts';
import { isConnectionError } from './connection-errors.ts';
import { relations } from './relations.ts';
import { sqlState } from './sql-state.ts';

const DEADLOCK_DETECTED = '40P01';
const SERIALIZATION_FAILURE = '40001';
const MAX_ATTEMPTS = 6;
const BASE_DELAY_MS = 10;

/**
 * Runs `work`, one statement that is a transaction of its own, and repeats it when Postgres ended it as the victim of a deadlock (40P01) or of a serialization
 * failure (40001): six runs in all, with jittered pauses that double from 10 ms on. Any other error is thrown
 * at once, the last of these two kinds after the sixth run.
 */
export async function repeated<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      const state = sqlState(error);
      const isTransient = state === DEADLOCK_DETECTED || state === SERIALIZATION_FAILURE;
      if (!isTransient || attempt >= MAX_ATTEMPTS) throw error;
      await sleep(BASE_DELAY_MS * 2 ** (attempt - 1) * (0.5 + Math.random()));
    }
  }
}

/**
 * Runs `work` in one transaction: committed when it resolves, rolled back when it throws. `work` is run again
 * as a whole after a deadlock or a serialization failure, so that it must change nothing but the database.
 */
export function transaction<T>(
  db: Database,
  work: (tx: Transaction) => Promise<T>,
  config?: PgTransactionConfig,
): Promise<T> {
  return repeated(() => runOnce(db, work, config));
}

/**
 * On a connection of the pool's that is given back whatever happens: drizzle's own `transaction` on a pool keeps
 * one for ever whose `begin` fails, as it does when the connection has just been lost.
 */
async function runOnce<T>(
  db: Database,
  work: (tx: Transaction) => Promise<T>,
  config?: PgTransactionConfig,
): Promise<T> {
  const client = await db.$client.connect();
  let fault: unknown;
  try {
    return await drizzle({ client, relations }).transaction(work, config);
  } catch (error) {
    fault = error;
    throw error;
  } finally {
    // One that gave no answer in time looks sound to the pool, and one that became read-only belongs to no primary any more.
    client.release(isConnectionError(fault));
  }
}
