import { eq, sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import type { HlsStatus } from '../db/tables/products.ts';
import type { StoredError } from '../db/tables/tasks.ts';
import { databaseNow } from '../db/tables/types.ts';
import { videos } from '../db/tables/videos.ts';
import { transaction } from '../db/transaction.ts';
import { settleContent } from '../jobs/definitions.ts';
import { LeaseLostError } from '../jobs/errors.ts';
import type { ClaimedJob } from '../jobs/job.ts';
import { assertClaim, finishJob } from '../jobs/queue.ts';
import { releaseClaim, settleClaim } from './content-claims.ts';
import type { Services } from './deps.ts';
import {
  completeTask,
  discardProducts,
  discardTaskObjects,
  endAsFailed,
  endAsSkipped,
  lockOpenTask,
  moveTask,
  type TaskRow,
  takeProgress,
  versionOf,
} from './end-task.ts';
import { deleteFolders, foldersOf, replacedSeconds } from './product-files.ts';
import { type MadeProducts, publishProducts, withEnds } from './publish-products.ts';
import { rememberSource } from './remember-source.ts';
import { superseded } from './settle-task.ts';
import { isReindex, productsOf, rewindStages, storedFraction } from './stages.ts';

type VideoRow = typeof videos.$inferSelect;

/** The video of a task went with the task that was making it. */
export class VideoGoneError extends Error {
  override readonly name = 'VideoGoneError';

  constructor({ id }: Pick<TaskRow, 'id'>) {
    super(`the video of task ${id} is gone`);
  }
}

/**
 * Moves a task from QUEUED to INDEXING. One that makes products of a video that is there works on the version that is in place now.
 * @returns null when it has ended meanwhile; the job is finished then
 * @throws {LeaseLostError} when another worker has the job
 * @throws {VideoGoneError}
 */
export async function beginIndexing(services: Services, job: ClaimedJob): Promise<TaskRow | null> {
  const task = await transaction(services.db, async (tx) => {
    const locked = await lockOpenTask(tx, job.subjectId);
    if (!locked) {
      await finishJob(tx, job);
      return null;
    }
    const again = isReindex(locked.stages);
    // The first claim of the index job goes on with the attempt of the transfer; a repeated one is a further attempt.
    const isAttempt = again || job.claims > 1;
    const change = {
      ...(again ? await versionInPlace(tx, locked) : {}),
      ...(productsOf(locked.stages).length === 0
        ? {}
        : { stages: rewindStages(locked.stages), fraction: storedFraction(locked.stages) }),
      attempts: locked.attempts + (isAttempt ? 1 : 0),
    };
    await moveTask(tx, locked, {
      ...change,
      status: 'INDEXING',
      startedAt: isAttempt ? databaseNow : locked.startedAt,
      waitingFor: null,
      nextAttemptAt: null,
      error: null,
    });
    await assertClaim(tx, job);
    return { ...locked, ...change };
  });
  if (task) services.changes.announce(task);
  return task;
}

async function versionInPlace(tx: Transaction, task: TaskRow) {
  const [video] = await tx
    .select({ storageKey: videos.storageKey, systemMetadata: videos.systemMetadata })
    .from(videos)
    .where(eq(videos.id, task.videoId));
  if (!video) throw new VideoGoneError(task);
  return video;
}

/**
 * Ends a task as READY, in the transaction that finishes its index job, and publishes what was made of its video; or as SKIPPED,
 * when a newer import has replaced its version meanwhile.
 * @param made what came of its products; null for a task without any
 * @throws {LeaseLostError} when another worker has the job, or the task is not where this attempt left it
 * @throws {VideoGoneError}
 */
export async function finishIndexing(
  services: Services,
  job: ClaimedJob,
  made: MadeProducts | null,
): Promise<void> {
  const task = await transaction(services.db, async (tx) => {
    const locked = await lockOpenTask(tx, job.subjectId);
    if (locked?.status !== 'INDEXING') throw new LeaseLostError(job);
    await finishJob(tx, job);
    const video = await lockVideoOf(tx, locked);
    if (!video) throw new VideoGoneError(locked);
    if (video.storageKey !== locked.storageKey) {
      await endAsSkipped(tx, locked, superseded(video.id));
      await discardProducts(tx, locked);
    } else if (made === null) {
      await complete(tx, locked);
    } else {
      const ended = withEnds(locked, made);
      await publishProducts(tx, video, { made, task: ended, keepSeconds: replacedSeconds(services) });
      await complete(tx, ended);
      // Another attempt may have left what it made.
      if (job.claims > 1) await discardProducts(tx, ended);
    }
    return locked;
  });
  services.changes.announce(task);
  services.jobs.wake(settleContent.kind);
}

async function lockVideoOf(tx: Transaction, task: TaskRow): Promise<VideoRow | null> {
  const [video] = await tx.select().from(videos).where(eq(videos.id, task.videoId)).for('no key update');
  return video ?? null;
}

/** @param task with the stages that it ends with */
async function complete(tx: Transaction, task: TaskRow): Promise<void> {
  await tx
    .update(videos)
    .set({ indexedAt: databaseNow, updatedAt: databaseNow })
    .where(eq(videos.id, task.videoId));
  await rememberSource(tx, task, task.videoId);
  await completeTask(tx, task, { outcome: task.madeVideo === false ? 'UPDATED' : 'CREATED' });
  if (task.sha256 !== null) await settleClaim(tx, { ...task, sha256: task.sha256 });
}

/**
 * Ends a task as FAILED whose index job failed for good. A video that it has made goes again with its bytes, unless
 * another import has updated or confirmed it since; an update stays as it is: playable, and not indexed.
 */
export async function failIndexing(tx: Transaction, task: TaskRow, error: StoredError): Promise<void> {
  const isFree = await withdraw(tx, task, 'ERROR');
  await endAsFailed(tx, task, error);
  await discardWork(tx, task, isFree);
}

/**
 * Ends a task whose process-video job failed for good. Its video is stored and valid: it comes in, with what could not be made of it
 * as FAILED stages. A task that was to make nothing else ends as FAILED.
 */
export async function failProcessing(tx: Transaction, task: TaskRow, error: StoredError): Promise<void> {
  if (isReindex(task.stages)) return await failIndexing(tx, task, error);
  const video = await lockVideoOf(tx, task);
  if (video?.storageKey !== task.storageKey) {
    if (!video) return await failIndexing(tx, task, error);
    await endAsSkipped(tx, task, superseded(video.id));
    return await discardProducts(tx, task);
  }
  const at = new Date();
  const ends = Object.fromEntries(productsOf(task.stages).map((product) => [product, { at, error }]));
  const made = { results: {}, ends };
  const ended = withEnds({ ...task, ...(await takeProgress(tx, task)) }, made);
  // Nothing was made, so that nothing is replaced.
  await publishProducts(tx, video, { made, task: ended, keepSeconds: 0 });
  await complete(tx, ended);
  await discardProducts(tx, ended);
}

/**
 * Has deleted what a task from QUEUED on has left that failed or was canceled.
 * @param isFree whether nobody needs its original any more
 */
export async function discardWork(tx: Transaction, task: TaskRow, isFree: boolean): Promise<void> {
  if (isFree && task.uploadId === null) await discardTaskObjects(tx, task);
  else if (task.attempts > 0) await discardProducts(tx, task);
}

/**
 * Takes back what a locked task from QUEUED on has put in place: a video that it has made goes, unless another import has
 * updated or confirmed it since; an update stays. Its claim on the content passes on.
 * @param hls what is told of a stream that it was to make
 * @returns whether nobody needs the task's bytes any more
 */
export async function withdraw(tx: Transaction, task: TaskRow, hls: HlsStatus): Promise<boolean> {
  const video = await lockVideoOf(tx, task);
  const isOwn =
    task.madeVideo === true &&
    video?.storageKey === task.storageKey &&
    video.versionImportId === versionOf(task);
  if (video && isOwn) {
    await tx.delete(videos).where(eq(videos.id, video.id));
    await releaseClaim(tx, video, video.id);
    await deleteFolders(tx, video, { folders: foldersOf(video).slice(1), keepSeconds: 0 });
    return true;
  }
  if (video?.hlsStatus === 'PROCESSING') await endHls(tx, task, hls);
  if (task.sha256 !== null) await settleClaim(tx, { ...task, sha256: task.sha256 });
  // Bytes that were in place once are seen to by whoever replaced them.
  return task.madeVideo === null;
}

/** Nobody makes the stream of the task's video any more, unless another task does. */
async function endHls(tx: Transaction, task: TaskRow, status: HlsStatus): Promise<void> {
  const isStream = JSON.stringify([{ name: 'STREAM' }]);
  await tx.execute(sql`
    update videos v set hls_status = ${status}, hls_updated_at = ${databaseNow}
     where v.id = ${task.videoId} and ${productsOf(task.stages).includes('STREAM')}
       and not exists (select from tasks t where t.video_id = v.id and t.id <> ${task.id}
         and t.finished_at is null and t.status in ('QUEUED', 'INDEXING') and t.stages @> ${isStream}::jsonb)`);
}
