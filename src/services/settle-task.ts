import { eq, sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { databaseNow } from '../db/tables/types.ts';
import type { StoredSystemMetadata } from '../db/tables/videos.ts';
import { videos } from '../db/tables/videos.ts';
import { transaction } from '../db/transaction.ts';
import { indexVideo, processVideo } from '../jobs/definitions.ts';
import { LeaseLostError } from '../jobs/errors.ts';
import type { ClaimedJob } from '../jobs/job.ts';
import { enqueue, enqueuedIn, finishJob } from '../jobs/queue.ts';
import { admitTask } from './admit-task.ts';
import { claimContent, releaseClaim } from './content-claims.ts';
import type { Services } from './deps.ts';
import {
  completeTask,
  deleteTaskObjects,
  lockOpenTask,
  moveTask,
  parentOf,
  skipTask,
  type TaskRow,
  versionOf,
} from './end-task.ts';
import { differs } from './known-content.ts';
import { deleteFolders, foldersOf, hlsAskedBy, NOTHING_MADE, replacedSeconds } from './product-files.ts';
import { rememberSource } from './remember-source.ts';
import { finishJobOfTask } from './run-task.ts';
import { closeStages, endStage, productsOf, storedFraction } from './stages.ts';

type VideoRow = typeof videos.$inferSelect;

/** A task whose bytes are stored, with what is known of them. */
interface StoredTask extends TaskRow {
  readonly sha256: string;
  readonly storageKey: string;
  readonly systemMetadata: StoredSystemMetadata;
}

/**
 * Decides what becomes of a validated task, in the transaction that finishes its transfer job: QUEUED for its index
 * job or for another task's same content, READY when only its description was new, or SKIPPED.
 * @returns whether another job goes on with it
 * @throws {LeaseLostError} when another worker has the job, or the task is not where this attempt left it
 * @throws {NoRoomError} when its team has no room for it; nothing is changed
 */
export async function settleTask(
  services: Services,
  job: ClaimedJob,
  systemMetadata: StoredSystemMetadata,
): Promise<boolean> {
  const { task, kinds } = await transaction(services.db, async (tx) => {
    const locked = await lockOpenTask(tx, job.subjectId);
    if (locked?.status !== 'VALIDATING') throw new LeaseLostError(job);
    const stages = endStage(locked.stages, 'VALIDATION', { state: 'DONE', now: new Date() });
    await finishJobOfTask(tx, job);
    await decide(tx, toStored({ ...locked, systemMetadata, stages }), services);
    return { task: locked, kinds: enqueuedIn(tx) };
  });
  services.changes.announce(task);
  for (const kind of kinds) services.jobs.wake(kind);
  return kinds.includes(indexVideo.kind) || kinds.includes(processVideo.kind);
}

/** A locked task from VALIDATING on, whose bytes are stored. */
export function toStored(task: TaskRow): StoredTask {
  const { sha256, storageKey, systemMetadata } = task;
  if (sha256 === null || storageKey === null || systemMetadata === null) {
    throw new Error(`task ${task.id} is not stored`);
  }
  return { ...task, sha256, storageKey, systemMetadata };
}

/**
 * Decides about a stored, locked task; whoever decides about the same pair, or the same content, at the same time waits here.
 * @throws {NoRoomError} when its team has no room for it
 */
export async function decide(tx: Transaction, task: StoredTask, services: Services): Promise<void> {
  const video = await lockVideo(tx, task);
  if (!video) return await bringIn(tx, task);
  if (video.versionImportId > versionOf(task)) return await skipTask(tx, task, superseded(video.id));
  if (video.sha256 === task.sha256 && !(await wasNeverIndexed(tx, task, video))) {
    return await applyDescription(tx, task, video);
  }
  await replaceContent(tx, task, {
    video,
    keepSeconds: replacedSeconds(services),
  });
}

/** Whether the video's version was put in place by a task that ended before it was indexed: then another one has to do that. */
async function wasNeverIndexed(tx: Transaction, task: TaskRow, video: VideoRow): Promise<boolean> {
  if (video.indexedAt !== null) return false;
  const other = await tx.query.tasks.findFirst({
    where: { videoId: video.id, id: { ne: task.id }, status: { in: ['QUEUED', 'INDEXING'] } },
    columns: { id: true },
  });
  return other === undefined;
}

/** The pair's video, locked; the lock on the pair's key comes first, so that two who would make the video take turns. */
async function lockVideo(tx: Transaction, task: TaskRow): Promise<VideoRow | null> {
  if (task.systemName !== null) {
    await tx.execute(sql`
      select from video_keys where index_id = ${task.indexId} and system_name = ${task.systemName} and external_id = ${task.externalId}
         for update`);
  }
  const [video] = await tx.select().from(videos).where(eq(videos.id, task.videoId)).for('no key update');
  return video ?? null;
}

/** How a task ends whose version a newer import has gone past. */
export const superseded = (videoId: string) => ({
  skipReason: 'SUPERSEDED' as const,
  videoId,
  reason: 'An import that was started later has brought a newer version of this video.',
});

/**
 * Ends a task at its beginning when the content that it would bring is known (from its given SHA-256, or because its
 * source still holds the version that came in before) and is the content of the pair's video, or, where there is no pair,
 * is in the index already: nothing needs to be copied.
 * @param unchanged the SHA-256 of what its source held when it came in before, if it still holds that
 * @returns whether it did
 */
export async function settleKnownContent(
  tx: Transaction,
  job: ClaimedJob,
  { task, unchanged }: { readonly task: TaskRow; readonly unchanged: string | null },
): Promise<boolean> {
  // Of an upload the bytes are here already: they prove what they are.
  const given = task.uploadId === null ? task.expectedSha256 : null;
  const sha256 = given ?? unchanged;
  if (sha256 === null) return false;
  const video = task.systemName === null ? await lockHolder(tx, task, sha256) : await lockVideo(tx, task);
  if (video?.sha256 !== sha256) return false;
  if (task.systemName !== null && (await wasNeverIndexed(tx, task, video))) return false;
  await finishJob(tx, job);
  const known = { ...task, sha256, bytesTotal: 0, systemMetadata: video.systemMetadata };
  await moveTask(tx, task, {
    attempts: task.attempts,
    startedAt: databaseNow,
    sha256,
    systemMetadata: video.systemMetadata,
  });
  if (task.systemName === null) await skipSameContent(tx, known, video.id);
  else if (video.versionImportId > versionOf(task)) await skipTask(tx, known, superseded(video.id));
  else await applyDescription(tx, known, video);
  return true;
}

/** The video that holds a content, locked; only where the task asks not to bring in the same again. */
async function lockHolder(tx: Transaction, task: TaskRow, sha256: string): Promise<VideoRow | null> {
  if (!task.incremental) return null;
  const held = await tx.query.contentClaims.findFirst({
    where: { indexId: task.indexId, sha256, taskId: { isNull: true } },
  });
  if (!held) return null;
  const [video] = await tx.select().from(videos).where(eq(videos.id, held.videoId)).for('no key update');
  return video ?? null;
}

/** The content is the video's own: only what is said about it may be new. */
async function applyDescription(tx: Transaction, task: TaskRow, video: VideoRow): Promise<void> {
  await rememberSource(tx, task, { videoId: video.id });
  const given = {
    name: task.nameGiven ? task.name : null,
    description: task.description,
    metadata: task.metadata,
  };
  const versionImportId = versionOf(task);
  if (!differs(video, given)) {
    // Confirmed by this import: an older one that comes to its end later must not replace it.
    await tx.update(videos).set({ versionImportId }).where(eq(videos.id, video.id));
    return await skipTask(tx, task, {
      skipReason: 'SAME_RECORD',
      videoId: video.id,
      reason: 'The same video is there already, and nothing about it has changed.',
    });
  }
  await tx
    .update(videos)
    .set({ ...described(task, video), versionImportId, updatedAt: databaseNow })
    .where(eq(videos.id, video.id));
  await completeTask(tx, task, {
    outcome: 'UPDATED',
    madeVideo: false,
    storageKey: null,
    stages: closeStages(task.stages, 'SKIPPED', { now: new Date() }),
  });
  await deleteTaskObjects(tx, task, null);
}

/** What is left out stays. */
const described = (task: TaskRow, video: VideoRow) => ({
  name: task.nameGiven ? task.name : video.name,
  description: task.description ?? video.description,
  metadata: task.metadata ?? video.metadata,
});

/** Puts other bytes in the place of the video's; the old ones go when the last URL that was handed out has expired. */
async function replaceContent(
  tx: Transaction,
  task: StoredTask,
  { video, keepSeconds }: { readonly video: VideoRow; readonly keepSeconds: number },
): Promise<void> {
  await releaseClaim(tx, video, video.id);
  await claimContent(tx, { indexId: task.indexId, sha256: task.sha256, videoId: video.id, taskId: task.id });
  await admitTask(tx, task, video.systemMetadata);
  await tx
    .update(videos)
    .set({
      ...described(task, video),
      fileName: task.fileName,
      sha256: task.sha256,
      storageKey: task.storageKey,
      systemMetadata: task.systemMetadata,
      versionImportId: versionOf(task),
      ...NOTHING_MADE,
      ...hlsAskedBy(task),
      indexedAt: null,
      updatedAt: databaseNow,
    })
    .where(eq(videos.id, video.id));
  await deleteFolders(tx, video, { folders: foldersOf(video), keepSeconds });
  await queueForIndex(tx, task, { madeVideo: await isBeingMade(tx, video.id) });
}

/** Whether the task that makes a video is still on its way: whoever replaces its version is the maker then. */
async function isBeingMade(tx: Transaction, videoId: string): Promise<boolean> {
  const maker = await tx.query.tasks.findFirst({
    where: { videoId, madeVideo: true, finishedAt: { isNull: true } },
    columns: { id: true },
  });
  return maker !== undefined;
}

/** The pair has no video yet: makes it, unless the index has the content already or is about to get it. */
async function bringIn(tx: Transaction, task: StoredTask): Promise<void> {
  const { indexId, sha256, videoId } = task;
  const claim = await claimContent(tx, { indexId, sha256, videoId, taskId: task.id });
  if (task.incremental && claim.taskId !== task.id) {
    if (claim.taskId === null) return await skipSameContent(tx, task, claim.videoId);
    return await moveTask(tx, task, { ...queued(task), waitingFor: 'SAME_CONTENT' });
  }
  await admitTask(tx, task, null);
  await tx.insert(videos).values({
    id: task.videoId,
    teamId: task.teamId,
    indexId: task.indexId,
    systemName: task.systemName,
    externalId: task.externalId,
    name: task.name,
    description: task.description,
    fileName: task.fileName,
    metadata: task.metadata,
    systemMetadata: task.systemMetadata,
    sha256: task.sha256,
    storageKey: task.storageKey,
    versionImportId: versionOf(task),
    ...hlsAskedBy(task),
  });
  await queueForIndex(tx, task, { madeVideo: true });
}

async function skipSameContent(tx: Transaction, task: TaskRow, videoId: string): Promise<void> {
  await rememberSource(tx, task, { videoId });
  await skipTask(tx, task, {
    skipReason: 'SAME_CONTENT',
    videoId,
    reason: 'The index holds a video with the same content already.',
  });
}

/** What was found out about a task is stored with the change that it leads to. */
const queued = ({ stages, systemMetadata }: StoredTask) => ({
  status: 'QUEUED' as const,
  fraction: storedFraction(stages),
  stages,
  systemMetadata,
});

async function queueForIndex(
  tx: Transaction,
  task: StoredTask,
  { madeVideo }: { readonly madeVideo: boolean },
): Promise<void> {
  await moveTask(tx, task, { ...queued(task), waitingFor: 'WORKER', madeVideo });
  const isProcessed = productsOf(task.stages).length > 0;
  const definition = isProcessed ? processVideo : indexVideo;
  await enqueue(tx, definition, { subjectId: task.id, teamId: task.teamId, payload: {} });
  await deleteTaskObjects(tx, task, parentOf(task.storageKey));
}
