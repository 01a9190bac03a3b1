import { sql } from 'drizzle-orm';
import type { StoredError } from '../db/tables/tasks.ts';
import { transaction } from '../db/transaction.ts';
import { deleteObjects } from '../jobs/definitions.ts';
import type { Services } from './deps.ts';
import { failTask } from './end-task.ts';
import { finishImport } from './finish-import.ts';
import { completeUpload, giveUp, lockWaiting, wakeTaskOf } from './receive-upload.ts';
import { readUploads, uploadKey } from './upload-rows.ts';

/** How many are seen to in one round. */
const BATCH = 100;
/** For so long it is remembered that there was an upload, in days: its URL answers that it is gone. */
const REMEMBER_DAYS = 7;
/** After its task has failed or was canceled, an upload is kept for so long, in hours: the task may be tried again. */
const KEEP_HOURS = 24;

/** Why a task fails whose upload was not complete in time. */
export const UPLOAD_EXPIRED: StoredError = {
  code: 'UPLOAD_EXPIRED',
  message: 'The upload was not finished in time. Send the file again, and make a new task of it.',
  retryable: false,
};

/**
 * Sees to uploads: completes those whose last byte was stored by a process that died of it, wakes tasks that wait for one
 * that is complete, and gives up what has expired or is needed by nothing any more.
 */
export async function seeToUploads(services: Services): Promise<void> {
  await completeForgotten(services);
  await wakeWaiting(services);
  await giveUpUnneeded(services);
  await services.db.execute(sql`
    delete from uploads where removed_at < now() - ${REMEMBER_DAYS} * interval '1 day'`);
  await services.db.execute(sql`
    delete from upload_tokens where expires_at < now() - ${REMEMBER_DAYS} * interval '1 day'`);
}

/** Those whose lock was never given back: each is looked at once. */
async function completeForgotten(services: Services): Promise<void> {
  const { db, storage } = services;
  const { rows } = await db.execute<{ id: string; length: string; token: string | null }>(sql`
    select id, length, locked_by as token from uploads
     where completed_at is null and removed_at is null
       and (locked_until < now() or locked_by is null and received = length) limit ${BATCH}`);
  for (const { id, length, token } of rows) {
    const stored = await storage.stat(uploadKey(id));
    if (stored?.size === Number(length)) await completeUpload(services, id);
    await db.execute(sql`
      update uploads set locked_by = null, locked_until = null
       where id = ${id} and locked_by = ${token} and locked_until < now()`);
  }
}

async function wakeWaiting(services: Services): Promise<void> {
  const { rows } = await services.db.execute<{ id: string }>(sql`
    select u.id from tasks t join uploads u on u.id = t.upload_id
     where t.waiting_for = 'UPLOAD' and u.completed_at is not null limit ${BATCH}`);
  for (const { id } of rows) await wakeTaskOf(services, id);
}

/** Whether what an upload, under the name u, was used for has ended: nothing will ask for its bytes. */
const isOver = sql`
  u.used_at is not null
  and not exists (select from imports i where i.id = u.import_id and i.state = 'PLANNING')
  and not exists (select from tasks t where t.upload_id = u.id
    and (t.finished_at is null or t.status in ('FAILED', 'CANCELED') and t.finished_at > now() - ${KEEP_HOURS} * interval '1 hour'))`;

/** Whether an upload, under the name u, is to be given up. */
const isUnneeded = sql`
  u.removed_at is null and (u.locked_until is null or u.locked_until < now())
  and (${isOver} or u.expires_at <= now() and (u.completed_at is null or u.used_at is null))`;

async function giveUpUnneeded(services: Services): Promise<void> {
  const { rows } = await services.db.execute<{ id: string }>(
    sql`select u.id from uploads u where ${isUnneeded} limit ${BATCH}`,
  );
  for (const { id } of rows) await giveUpOne(services, id);
  if (rows.length > 0) services.jobs.wake(deleteObjects.kind);
}

/** Looks once more under its lock: somebody may have begun to use it. */
async function giveUpOne(services: Services, id: string): Promise<void> {
  const failed = await transaction(services.db, async (tx) => {
    // Tasks are locked before uploads.
    const task = await lockWaiting(tx, id);
    const [upload] = await readUploads(tx, [id], { lock: true });
    const { rows } = await tx.execute(sql`select from uploads u where u.id = ${id} and ${isUnneeded}`);
    if (upload === undefined || rows.length === 0) return null;
    await giveUp(tx, upload);
    if (task !== null) await failTask(tx, task, UPLOAD_EXPIRED);
    return task;
  });
  if (failed === null) return;
  services.changes.announce(failed);
  if (failed.importId !== null) await finishImport(services, failed.importId);
}
