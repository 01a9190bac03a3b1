import { eq } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import type {
  ProductName,
  StoredPictures,
  StoredQuality,
  StoredScenes,
  StoredStream,
} from '../db/tables/products.ts';
import type { StoredError } from '../db/tables/tasks.ts';
import { databaseNow } from '../db/tables/types.ts';
import { videos } from '../db/tables/videos.ts';
import type { TaskRow } from './end-task.ts';
import type { Fingerprint } from './fingerprint-code.ts';
import { storeFingerprint } from './fingerprints.ts';
import { deleteFolders, productFoldersOf } from './product-files.ts';
import { beginStage, endStage, productsOf } from './stages.ts';

type VideoRow = typeof videos.$inferSelect;

/** What came of the products of a task. */
export interface MadeProducts {
  /** Those that could be made; files of theirs are in the storage. */
  readonly results: {
    readonly THUMBNAILS?: StoredPictures;
    readonly STREAM?: StoredStream;
    readonly SCENES?: StoredScenes;
    readonly FINGERPRINT?: Fingerprint;
    readonly QUALITY?: StoredQuality;
    readonly SCAN_TYPE?: { readonly scanType: NonNullable<VideoRow['scanType']> };
  };
  /** When each ended, and why it could not be made. */
  readonly ends: Readonly<Partial<Record<ProductName, ProductEnd>>>;
}

/** How one product ended. */
export interface ProductEnd {
  /** When it had begun; left out where it never did. */
  readonly begun?: Date;
  readonly at: Date;
  /** How far one that failed had come, 0 to 1; 0 where left out. */
  readonly fraction?: number;
  readonly error?: StoredError;
}

/** The task with its stages as its products ended. */
export function withEnds(task: TaskRow, { ends }: Pick<MadeProducts, 'ends'>): TaskRow {
  let { stages } = task;
  for (const name of productsOf(stages)) {
    const end = ends[name];
    if (end === undefined) continue;
    const state = end.error === undefined ? 'DONE' : 'FAILED';
    if (end.begun !== undefined) stages = beginStage(stages, name, end.begun, end.fraction);
    stages = endStage(stages, name, {
      state,
      now: end.at,
      ...(end.error === undefined ? {} : { error: end.error }),
    });
  }
  return { ...task, stages };
}

/**
 * Puts what was made of a locked video in the place of what was there; what was not made stays. Files that were replaced go
 * when the last URL that was handed out to them has expired.
 * @param options.keepSeconds how long that takes
 */
export async function publishProducts(
  tx: Transaction,
  video: VideoRow,
  {
    made,
    task,
    keepSeconds,
  }: { readonly made: MadeProducts; readonly task: TaskRow; readonly keepSeconds: number },
): Promise<void> {
  const { THUMBNAILS, STREAM, SCENES, FINGERPRINT, QUALITY, SCAN_TYPE } = made.results;
  const change = {
    pictures: THUMBNAILS ?? video.pictures,
    stream: STREAM ?? video.stream,
    scenes: SCENES ?? video.scenes,
    quality: QUALITY ?? video.quality,
    scanType: SCAN_TYPE?.scanType ?? video.scanType,
  };
  const productFolders = productFoldersOf(change);
  await tx
    .update(videos)
    .set({ ...change, ...hlsAfter(task, video, STREAM), productFolders })
    .where(eq(videos.id, video.id));
  if (FINGERPRINT !== undefined) await storeFingerprint(tx, video, FINGERPRINT);
  const replaced = (video.productFolders ?? []).filter((folder) => !productFolders?.includes(folder));
  await deleteFolders(tx, video, { folders: replaced, keepSeconds });
}

/** A stream that could not be made anew leaves the one that is there. */
function hlsAfter(task: TaskRow, video: VideoRow, made: StoredStream | undefined) {
  if (!productsOf(task.stages).includes('STREAM')) return {};
  if (made === undefined && video.stream !== null) return { hlsStatus: 'COMPLETE' as const };
  return {
    hlsStatus: made === undefined ? ('ERROR' as const) : ('COMPLETE' as const),
    hlsUpdatedAt: databaseNow,
  };
}
