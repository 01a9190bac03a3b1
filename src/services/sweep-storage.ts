import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import { deleteObjects } from '../jobs/definitions.ts';
import type { Storage } from '../storage/adapter.ts';

/** What is younger may belong to work that is not stored yet, or to a worker that is presumed dead. */
const MIN_AGE_MS = 24 * 3600 * 1000;
/** How many objects are looked up together. */
const BATCH = 1000;
/** After so many objects that could not be removed, the store is taken to be away. */
const MOST_FAILURES = 10;

interface SweepOptions {
  readonly signal: AbortSignal;
  /** The time, in milliseconds since 1970. */
  readonly now?: number;
}

/**
 * Removes what processes left behind in the storage that died or were presumed dead: unfinished writes, and objects of
 * finished tasks that no video and no planned deletion knows of, all when they are a day old. What cannot be removed keeps
 * nothing else from it.
 * @returns how many objects were removed
 * @throws {StorageError} after all that could be done was done, what kept the first of those that are still there
 */
export async function sweepStorage(
  deps: { readonly db: Database; readonly storage: Storage },
  { signal, now = Date.now() }: SweepOptions,
): Promise<number> {
  const olderThan = new Date(now - MIN_AGE_MS);
  const failures: unknown[] = [];
  const removed = await removeOrphans(deps, { signal, olderThan, failures }).catch((error: unknown) => {
    signal.throwIfAborted();
    failures.push(error);
    return 0;
  });
  await deps.storage.sweepUnfinished(olderThan).catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
  return removed;
}

async function removeOrphans(
  { db, storage }: { readonly db: Database; readonly storage: Storage },
  {
    signal,
    olderThan,
    failures,
  }: { readonly signal: AbortSignal; readonly olderThan: Date; readonly failures: unknown[] },
): Promise<number> {
  let removed = 0;
  for await (const keys of batchesOf(storage.list('teams'), BATCH)) {
    signal.throwIfAborted();
    for (const key of await findOrphans(db, keys)) {
      signal.throwIfAborted();
      try {
        if (await removeIfOlder(storage, key, olderThan)) removed += 1;
      } catch (error) {
        failures.push(error);
        if (failures.length >= MOST_FAILURES) return removed;
      }
    }
  }
  return removed;
}

async function removeIfOlder(storage: Storage, key: string, time: Date): Promise<boolean> {
  const object = await storage.stat(key);
  if (object === null || object.modifiedAt > time) return false;
  await storage.delete(key);
  return true;
}

async function* batchesOf<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<readonly T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** `teams/<team>/tasks/<task>/<claim>/…` */
const KEY = /^(((teams\/[^/]+\/tasks\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}))\/[^/]+)\/[^/]+)/;

/**
 * Of these keys, those that nothing in the database knows of: no video, no deletion that is planned, and no upload whose task may
 * be tried again. All below the claim whose original is a video's is that
 * video's, and so is all below a folder of its products. A key that is none of ours is left alone.
 */
async function findOrphans(db: Database, keys: readonly string[]): Promise<readonly string[]> {
  const asked = keys.flatMap((key) => {
    const [, folder, ofClaim, ofTask, taskId] = KEY.exec(key) ?? [];
    return taskId === undefined ? [] : [{ key, folder, ofClaim, ofTask, taskId }];
  });
  if (asked.length === 0) return [];
  const { rows } = await db.execute<{ key: string }>(sql`
    with asked as materialized (
      select * from jsonb_to_recordset(${JSON.stringify(asked)}::jsonb)
        as o(key text, folder text, "ofClaim" text, "ofTask" text, "taskId" uuid)
    ), planned as materialized (
      select payload ->> 'prefix' as prefix from jobs
       where kind = ${deleteObjects.kind}
         and payload ->> 'prefix' in (
           select folder from asked union all select "ofClaim" from asked union all select "ofTask" from asked)
    )
    select o.key from asked o
     where not exists (select from videos v where v.storage_key = o."ofClaim" || '/original')
       and not exists (select from videos v where v.product_folders && array[o.folder])
       and exists (select from tasks t where t.id = o."taskId" and t.finished_at is not null)
       and not exists (select from tasks t join uploads u on u.id = t.upload_id
         where t.id = o."taskId" and t.status in ('FAILED', 'CANCELED') and u.removed_at is null)
       and not exists (select from planned p where p.prefix in (o.folder, o."ofClaim", o."ofTask"))`);
  return rows.map(({ key }) => key);
}
