import { eq } from 'drizzle-orm';
import { z } from 'zod';
import type { Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { type StoredStage, tasks } from '../db/tables/tasks.ts';
import { databaseNow } from '../db/tables/types.ts';
import { videos } from '../db/tables/videos.ts';
import { transaction } from '../db/transaction.ts';
import { processVideo } from '../jobs/definitions.ts';
import { enqueue } from '../jobs/queue.ts';
import { askedProducts } from './asked-products.ts';
import type { Services } from './deps.ts';
import { InvalidInputError, NotFoundError } from './errors.ts';
import { ownedBy } from './filters.ts';
import { keepIndex } from './indexes.ts';
import { parseInput } from './input-rules.ts';
import { productStages, productsOf } from './stages.ts';
import type { Viewer } from './viewer.ts';

const reindexVideoInput = z.object({
  id: z.string(),
  fullIngestion: z.boolean(),
  enableVideoStream: z.boolean(),
});

type VideoRow = typeof videos.$inferSelect;

/**
 * Has products made of a video that is there, by a task of its own that waits for a worker at once. What it makes takes the place of
 * what was there; what it does not make stays.
 * @param input as the API takes it, not checked yet
 * @returns the row id of the task
 * @throws {InvalidInputError} when nothing is asked for
 * @throws {NotFoundError} when the video is none of the viewer's
 */
export async function reindexVideo(services: Services, viewer: Viewer, input: unknown): Promise<string> {
  const { id, ...asked } = parseInput(reindexVideoInput, 'input', input);
  const where = ownedBy(viewer, 'Video', id);
  const columns = { id: true, indexId: true, teamId: true } as const;
  const found = where && (await services.db.query.videos.findFirst({ where, columns }));
  if (!found) throw new NotFoundError('video', ['input', 'id']);
  if (!asked.fullIngestion && !asked.enableVideoStream) {
    const message = 'must be true, or enableVideoStream must: nothing is asked for otherwise';
    throw new InvalidInputError([{ path: ['input', 'fullIngestion'], code: 'INVALID', message }]);
  }
  const taskId = await transaction(services.db, async (tx) => {
    await keepIndex(tx, found.indexId);
    const index = await tx.query.indexes.findFirst({
      where: { id: found.indexId },
      columns: { analyzers: true },
    });
    const video = await keepVideo(tx, found.id);
    if (video === null || !index) throw new NotFoundError('video', ['input', 'id']);
    return await insertTask(tx, video, productStages(askedProducts(asked, index.analyzers)));
  });
  services.jobs.wake(processVideo.kind);
  services.changes.announce({ teamId: found.teamId, importId: null });
  return taskId;
}

/** Keeps a video from being deleted until a task that works on it is stored: whoever deletes it then sees the task. */
export async function keepVideo(tx: Transaction, videoId: string): Promise<VideoRow | null> {
  const [video] = await tx.select().from(videos).where(eq(videos.id, videoId)).for('no key update');
  return video ?? null;
}

/** Has a locked video show that its stream is being made, unless it has one already, which is served until then. */
export async function showProcessing(
  tx: Transaction,
  video: VideoRow,
  stages: readonly StoredStage[],
): Promise<void> {
  if (video.stream !== null || !productsOf(stages).includes('STREAM')) return;
  await tx
    .update(videos)
    .set({ hlsStatus: 'PROCESSING', hlsUpdatedAt: databaseNow })
    .where(eq(videos.id, video.id));
}

async function insertTask(tx: Transaction, video: VideoRow, stages: readonly StoredStage[]): Promise<string> {
  const { teamId, indexId, systemName, externalId, fileName, name, metadata, storageKey, systemMetadata } =
    video;
  const id = uuidv7();
  await tx.insert(tasks).values({
    id,
    teamId,
    indexId,
    ordinal: 0,
    videoId: video.id,
    madeVideo: false,
    systemName,
    externalId,
    fileName,
    name,
    nameGiven: false,
    metadata,
    incremental: true,
    storageKey,
    systemMetadata,
    status: 'QUEUED',
    waitingFor: 'WORKER',
    stages,
  });
  await showProcessing(tx, video, stages);
  await enqueue(tx, processVideo, { subjectId: id, teamId, payload: {} });
  return id;
}
