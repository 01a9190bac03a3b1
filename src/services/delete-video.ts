import { and, eq, isNull, sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { tasks } from '../db/tables/tasks.ts';
import { videos } from '../db/tables/videos.ts';
import { transaction } from '../db/transaction.ts';
import { deleteObjects, settleContent } from '../jobs/definitions.ts';
import { cancelTasks } from './cancel-tasks.ts';
import { releaseClaim } from './content-claims.ts';
import type { Services } from './deps.ts';
import { lockTasks, type TaskRow } from './end-task.ts';
import { NotFoundError } from './errors.ts';
import { ownedBy } from './filters.ts';
import { finishImport } from './finish-import.ts';
import { deleteFolders, foldersOf } from './product-files.ts';
import type { Viewer } from './viewer.ts';

/**
 * Deletes a video with its bytes and all that is known by it, so that the next import brings it in again. Its unfinished
 * tasks end as CANCELED; finished ones stay.
 * @throws {NotFoundError} also when another call has deleted it meanwhile
 */
export async function deleteVideo(services: Services, viewer: Viewer, publicId: string): Promise<void> {
  const where = ownedBy(viewer, 'Video', publicId);
  const found =
    where && (await services.db.query.videos.findFirst({ where, columns: { id: true, teamId: true } }));
  if (!found) throw new NotFoundError('video', ['id']);
  const canceled = await deleteWithTasks(services, found.id);
  services.changes.announce({ teamId: found.teamId, importId: null });
  for (const task of canceled) services.changes.announce(task);
  services.jobs.wake(deleteObjects.kind);
  services.jobs.wake(settleContent.kind);
  const importIds = new Set(canceled.flatMap(({ importId }) => importId ?? []));
  for (const importId of importIds) await finishImport(services, importId);
}

/** A task of the video was made, or opened again, after its tasks had been locked: they have to be locked anew. */
class OneMoreTaskError extends Error {}

/** @returns the tasks that were canceled */
async function deleteWithTasks(services: Services, videoId: string): Promise<readonly TaskRow[]> {
  for (;;) {
    try {
      return await transaction(services.db, (tx) => deleteOnce(tx, videoId));
    } catch (error) {
      if (!(error instanceof OneMoreTaskError)) throw error;
    }
  }
}

async function deleteOnce(tx: Transaction, videoId: string): Promise<readonly TaskRow[]> {
  const isOpen = and(eq(tasks.videoId, videoId), isNull(tasks.finishedAt));
  const picked = await tx.select({ id: tasks.id }).from(tasks).where(isOpen);
  const locked = await lockTasks(
    tx,
    picked.map(({ id }) => id),
  );
  const open = locked.filter((task) => task.finishedAt === null && task.videoId === videoId);
  const before = await tx.query.videos.findFirst({ where: { id: videoId }, columns: { id: true } });
  if (!before) throw new NotFoundError('video', ['id']);
  await cancelTasks(tx, open);
  // From here on nobody makes or opens a task of this pair with this video.
  await tx.execute(sql`
    select from video_keys where video_id = ${videoId} order by index_id, system_name, external_id for update`);
  const [video] = await tx.select().from(videos).where(eq(videos.id, videoId)).for('update');
  const [more] = await tx.select({ id: tasks.id }).from(tasks).where(isOpen).limit(1);
  if (more) throw new OneMoreTaskError();
  // The end of the task that was making it may have taken it away already.
  const isTaken = open.some(({ madeVideo }) => madeVideo === true);
  if (!video && !isTaken) throw new NotFoundError('video', ['id']);
  if (video) await remove(tx, video);
  await tx.execute(sql`delete from video_keys where video_id = ${videoId}`);
  return open;
}

/** What its sources held goes with the row. Its URLs lead nowhere from now on, so that its bytes need not stay for them. */
async function remove(tx: Transaction, video: typeof videos.$inferSelect): Promise<void> {
  await tx.delete(videos).where(eq(videos.id, video.id));
  await releaseClaim(tx, video, video.id);
  await deleteFolders(tx, video, { folders: foldersOf(video), keepSeconds: 0 });
}
