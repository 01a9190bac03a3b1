import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';

/** How long a lock lasts that is not renewed, in seconds: the process that held it is dead then. */
export const LOCK_SECONDS = 10;

/** A lock that this process holds, with how many bytes of its upload have come. */
export interface HeldLock {
  readonly id: string;
  /** Of this holding of it. */
  readonly token: string;
  /** Null where none were to come. */
  readonly received: number | null;
}

/** Takes the lock of an upload. @returns false when somebody else has it */
export async function takeLock(
  db: Database,
  { id, token }: Pick<HeldLock, 'id' | 'token'>,
): Promise<boolean> {
  const { rowCount } = await db.execute(sql`
    update uploads set locked_by = ${token}, locked_until = now() + ${LOCK_SECONDS} * interval '1 second', release_asked = false
     where id = ${id} and (locked_by is null or locked_until < now())`);
  return rowCount === 1;
}

/** Asks whoever has the lock of an upload to give it back. */
export async function askForRelease(db: Database, id: string): Promise<void> {
  await db.execute(sql`update uploads set release_asked = true where id = ${id} and locked_by is not null`);
}

/**
 * Renews locks, and notes how far their uploads are. An unfinished upload that has expired gets no more time.
 * @returns the ids of those that are still held, with whether they were asked to be given back
 */
export async function renewLocks(
  db: Database,
  locks: readonly HeldLock[],
): Promise<ReadonlyMap<string, { readonly isReleaseAsked: boolean }>> {
  const { rows } = await db.execute<{ id: string; release_asked: boolean }>(sql`
    update uploads u set locked_until = now() + ${LOCK_SECONDS} * interval '1 second', received = least(coalesce(r.received, u.received), u.length)
      from jsonb_to_recordset(${JSON.stringify(locks)}::jsonb) as r(id uuid, token uuid, received bigint)
     where u.id = r.id and u.locked_by = r.token and u.removed_at is null
       and (u.expires_at > now() or u.completed_at is not null)
    returning u.id, u.release_asked`);
  return new Map(rows.map((row) => [row.id, { isReleaseAsked: row.release_asked }]));
}

/** Gives a lock back, with the last that is known of its upload. */
export async function returnLock(db: Database, { id, token, received }: HeldLock): Promise<void> {
  await db.execute(sql`
    update uploads set locked_by = null, locked_until = null, release_asked = false, received = least(coalesce(${received}::bigint, received), length)
     where id = ${id} and locked_by = ${token}`);
}
