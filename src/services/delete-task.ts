import { eq, sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { type TaskStatus, TERMINAL_STATUSES, tasks } from '../db/tables/tasks.ts';
import { transaction } from '../db/transaction.ts';
import type { Services } from './deps.ts';
import { discardUploads, type TaskRow } from './end-task.ts';
import { NotFoundError, TaskCannotBeDeletedError } from './errors.ts';
import { ownedBy } from './filters.ts';
import type { Viewer } from './viewer.ts';

/**
 * Deletes a task that has ended; its import goes on counting it.
 * @throws {NotFoundError} also when another call has deleted it meanwhile
 * @throws {TaskCannotBeDeletedError} when it has not ended, or is READY and its video is there
 */
export async function deleteTask(services: Services, viewer: Viewer, publicId: string): Promise<void> {
  const where = ownedBy(viewer, 'Task', publicId);
  const columns = { id: true, importId: true } as const;
  const found = where && (await services.db.query.tasks.findFirst({ where, columns }));
  if (!found) throw new NotFoundError('task', ['id']);
  const task = await transaction(services.db, async (tx) => {
    // Whoever counts the tasks of the import holds it: they see the task, or its count.
    await tx.execute(sql`select from imports where id = ${found.importId} for update`);
    const [locked] = await tx.select().from(tasks).where(eq(tasks.id, found.id)).for('update');
    if (!locked) throw new NotFoundError('task', ['id']);
    if (!hasEnded(locked.status) || (await isKeptByVideo(tx, locked))) {
      throw new TaskCannotBeDeletedError(locked.status);
    }
    if (locked.importId !== null) await countOn(tx, locked);
    await discardUploads(tx, sql`t.id = ${locked.id}`);
    await tx.delete(tasks).where(eq(tasks.id, locked.id));
    return locked;
  });
  services.changes.announce(task);
}

const hasEnded = (status: TaskStatus) => TERMINAL_STATUSES.some((each) => each === status);

async function isKeptByVideo(tx: Transaction, { status, videoId }: TaskRow): Promise<boolean> {
  if (status !== 'READY') return false;
  return (await tx.query.videos.findFirst({ where: { id: videoId }, columns: { id: true } })) !== undefined;
}

/** Has the locked import count the task on, as what it ended. */
async function countOn(tx: Transaction, task: TaskRow): Promise<void> {
  const counted = {
    [task.status.toLowerCase()]: 1,
    bytesDone: task.bytesDone,
    bytesTotal: task.bytesTotal ?? task.bytesDone,
  };
  await tx.execute(sql`
    update imports set deleted_counts = (
      select jsonb_object_agg(key, sum) from (
        select key, sum(value::bigint) from (
          select * from jsonb_each_text(coalesce(deleted_counts, '{}'))
          union all select * from jsonb_each_text(${JSON.stringify(counted)}::jsonb)
        ) each group by key
      ) sums)
     where id = ${task.importId}`);
}
