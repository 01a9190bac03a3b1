import { sql } from 'drizzle-orm';
import type { Database, Transaction } from '../db/client.ts';
import { IdempotencyConflictError } from './errors.ts';
import { hashInput } from './start-import-input.ts';
import type { Viewer } from './viewer.ts';

/** A key that a client gave with a call, and what tells the same input again. Null: the client gave none. */
export type Idempotency = {
  readonly teamId: string;
  readonly key: string;
  readonly inputHash: string;
} | null;

/** What was made by the first call with a key. */
export interface Made {
  readonly importId?: string | undefined;
  readonly taskId?: string | undefined;
}

/** The idempotency of an input. */
export function idempotencyOf(
  { teamId }: { readonly teamId: string },
  input: { readonly idempotencyKey?: string | null | undefined },
): Idempotency {
  const key = input.idempotencyKey;
  return key == null ? null : { teamId, key, inputHash: hashInput(input) };
}

/**
 * What a key was used for; null when it is new. Within a transaction, calls with the same key wait here for one another.
 * @throws {IdempotencyConflictError} when it was used with another input
 */
export async function usedKey(db: Database | Transaction, idempotency: Idempotency): Promise<Made | null> {
  if (idempotency === null) return null;
  const { teamId, key, inputHash } = idempotency;
  await db.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`${teamId} ${key}`}, 0))`);
  const { rows } = await db.execute<{
    import_id: string | null;
    task_id: string | null;
    input_hash: string;
  }>(sql`
    select import_id, task_id, input_hash from idempotency_keys where team_id = ${teamId} and key = ${key}`);
  const [row] = rows;
  if (!row) return null;
  if (row.input_hash !== inputHash) throw new IdempotencyConflictError();
  return { importId: row.import_id ?? undefined, taskId: row.task_id ?? undefined };
}

/**
 * What the first call with this key and this very input made, in whichever of the viewer's teams: asked when something that
 * the input names is gone by now, and with it what told the team. Null when there was none.
 */
export async function madeBefore(
  db: Database,
  { teamIds }: Pick<Viewer, 'teamIds'>,
  input: { readonly idempotencyKey?: string | null | undefined },
): Promise<Made | null> {
  if (input.idempotencyKey == null) return null;
  const row = await db.query.idempotencyKeys.findFirst({
    where: { teamId: { in: [...teamIds] }, key: input.idempotencyKey, inputHash: hashInput(input) },
  });
  return row ? { importId: row.importId ?? undefined, taskId: row.taskId ?? undefined } : null;
}

/** Remembers what a key was used for. */
export async function useKey(tx: Transaction, idempotency: Idempotency, made: Made): Promise<void> {
  if (idempotency === null) return;
  const { teamId, key, inputHash } = idempotency;
  await tx.execute(sql`
    insert into idempotency_keys (team_id, key, input_hash, import_id, task_id)
    values (${teamId}, ${key}, ${inputHash}, ${made.importId ?? null}, ${made.taskId ?? null})`);
}
