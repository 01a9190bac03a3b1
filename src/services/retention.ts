import { type SQL, sql } from 'drizzle-orm';
import type { Database, Transaction } from '../db/client.ts';
import { transaction } from '../db/transaction.ts';
import { BATCH, inBatches } from './batches.ts';
import { forgetDeletedTasks } from './deleted-tasks.ts';
import { removeExpiredSecrets } from './webhook-secrets.ts';

/** How many imports are looked at in one statement. */
const PAGE = 500;
/** A key holds for a day at least; twice that leaves room for clocks and for clients that repeat a call late. */
const KEY_HOURS = 48;
const FIRST = '00000000-0000-0000-0000-000000000000';

/** How many rows were removed. */
interface Removed {
  keys: number;
  entries: number;
  failedFiles: number;
  tasks: number;
  /** Rows of tasks that were deleted days ago. */
  deletions: number;
  deliveries: number;
  secrets: number;
}

interface RetentionOptions {
  /** For so many days after its end everything of an import is kept; 0: for ever. */
  readonly retainDays: number;
  readonly signal: AbortSignal;
}

/**
 * Removes what is kept for a while only: of imports that finished long ago the entries, the rejected files, the tasks
 * without a video and the messages that need not be sent any more; idempotency keys and secrets that are out of date, and what
 * tells of deleted tasks. Imports stay, with their counts as they were.
 * In short transactions, each of which looks once more whether the import still is one that finished long ago: one
 * that is retried meanwhile keeps what it needs.
 * @throws the signal's reason when it is aborted; what was removed by then stays so
 */
export async function removeExpired(
  { db }: { readonly db: Database },
  { retainDays, signal }: RetentionOptions,
): Promise<Removed> {
  const removed: Removed = {
    keys: 0,
    entries: 0,
    failedFiles: 0,
    tasks: 0,
    deletions: 0,
    deliveries: 0,
    secrets: 0,
  };
  removed.keys = await inBatches(signal, async () => rowsOf(await db.execute(expiredKeys)));
  removed.deletions = await forgetDeletedTasks(db, signal);
  removed.secrets = await removeExpiredSecrets(db, null);
  if (retainDays === 0) return removed;
  for await (const importId of findExpired(db, { retainDays, signal })) {
    // Entries first: an import without them is known not to be whole any more, see `isExpired`.
    for (const part of ['entries', 'failedFiles', 'tasks', 'deliveries'] as const) {
      const remove = () => removeBatch(db, { importId, retainDays, statement: PARTS[part](importId) });
      removed[part] += await inBatches(signal, remove);
    }
  }
  return removed;
}

/** Whether the records of a finished import were removed because it finished long ago, or are being removed. */
export async function isExpired(
  tx: Transaction,
  { id, found }: { readonly id: string; readonly found: number },
): Promise<boolean> {
  if (found === 0) return false;
  const { rows } = await tx.execute(sql`select from import_entries where import_id = ${id} limit 1`);
  return rows.length === 0;
}

const rowsOf = ({ rowCount }: { readonly rowCount: number | null }): number => rowCount ?? 0;

const expiredKeys = sql`
  delete from idempotency_keys k using (
    select team_id, key from idempotency_keys
     where created_at < now() - ${KEY_HOURS} * interval '1 hour' limit ${BATCH} for update skip locked
  ) old where k.team_id = old.team_id and k.key = old.key`;

const PARTS: Readonly<Record<'entries' | 'failedFiles' | 'tasks' | 'deliveries', (importId: string) => SQL>> =
  {
    entries: (importId) => sql`
    delete from import_entries where import_id = ${importId} and ordinal = any(array(
      select ordinal from import_entries where import_id = ${importId} order by ordinal limit ${BATCH}))`,
    failedFiles: (importId) => sql`
    delete from failed_files where id = any(array(
      select id from failed_files where import_id = ${importId} order by ordinal limit ${BATCH}))`,
    tasks: (importId) => sql`
    delete from tasks where id = any(array(
      select t.id from tasks t where t.import_id = ${importId} and ${isWithoutVideo} limit ${BATCH}))`,
    deliveries: (importId) => sql`
    delete from webhook_deliveries where id = any(array(
      select d.id from webhook_deliveries d where d.import_id = ${importId} and ${isOver} limit ${BATCH}))`,
  };

/** One that was asked for once more, however late, is sent. */
const isOver = sql`d.next_attempt_at is null`;

const isWithoutVideo = sql`not exists (select from videos v where v.id = t.video_id)`;
const finishedBefore = (retainDays: number) => sql`finished_at < now() - ${retainDays} * interval '1 day'`;

/** Locks the import as whoever opens it again does: either that comes first and nothing is removed, or it sees what is left. */
async function removeBatch(
  db: Database,
  {
    importId,
    retainDays,
    statement,
  }: { readonly importId: string; readonly retainDays: number; readonly statement: SQL },
): Promise<number> {
  return await transaction(db, async (tx) => {
    const { rows } = await tx.execute(
      sql`select from imports where id = ${importId} and ${finishedBefore(retainDays)} for update`,
    );
    return rows.length === 0 ? 0 : rowsOf(await tx.execute(statement));
  });
}

/** The imports that finished long ago and of which something is left to remove. A page of imports is looked at in one statement. */
async function* findExpired(
  db: Database,
  { retainDays, signal }: RetentionOptions,
): AsyncGenerator<string, void> {
  for (let after = FIRST; ; ) {
    signal.throwIfAborted();
    const { rows } = await db.execute<{ id: string; is_due: boolean }>(sql`
      select i.id,
             coalesce(i.is_old, false) and (
               exists (select from import_entries e where e.import_id = i.id)
               or exists (select from failed_files f where f.import_id = i.id)
               or exists (select from tasks t where t.import_id = i.id and ${isWithoutVideo})
               or exists (select from webhook_deliveries d where d.import_id = i.id and ${isOver})) as is_due
        from (select id, ${finishedBefore(retainDays)} as is_old from imports
               where id > ${after} order by id limit ${PAGE}) i
       order by i.id`);
    for (const row of rows) if (row.is_due) yield row.id;
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return;
    after = last.id;
  }
}
