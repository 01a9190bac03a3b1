import type { Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { databaseNow } from '../db/tables/types.ts';
import type { videos } from '../db/tables/videos.ts';
import { deleteObjects } from '../jobs/definitions.ts';
import { enqueueMany } from '../jobs/queue.ts';
import type { Services } from './deps.ts';
import { parentOf, type TaskRow } from './end-task.ts';
import { productsOf } from './stages.ts';

type VideoRow = typeof videos.$inferSelect;
/** What a video has of products with files. */
type FiledProducts = Pick<VideoRow, 'pictures' | 'stream' | 'scenes'>;

/** Clocks differ, and a download that began in time may go on: replaced bytes stay this much longer than their URLs hold. */
const REPLACED_BYTES_MARGIN_SECONDS = 3600;

/** How long bytes stay that were replaced, in seconds: URLs to them may have been handed out a moment ago. */
export function replacedSeconds({ mediaUrlSeconds }: Pick<Services, 'mediaUrlSeconds'>): number {
  return mediaUrlSeconds + REPLACED_BYTES_MARGIN_SECONDS;
}

/** A video of which nothing was made yet. */
export const NOTHING_MADE = {
  pictures: null,
  stream: null,
  scenes: null,
  quality: null,
  scanType: null,
  productFolders: null,
} as const;

/** What a video shows of its HLS while a task waits or runs that has put its bytes in place. */
export function hlsAskedBy({ stages }: Pick<TaskRow, 'stages'>) {
  return productsOf(stages).includes('STREAM')
    ? { hlsStatus: 'PROCESSING' as const, hlsUpdatedAt: databaseNow }
    : { hlsStatus: null, hlsUpdatedAt: null };
}

/** The folders that files of a video's products lie in, for its row; null where there are none. */
export function productFoldersOf({ pictures, stream, scenes }: FiledProducts): string[] | null {
  const paths = [
    ...(pictures === null ? [] : [`${pictures.prefix}/${pictures.poster}`]),
    ...(stream === null ? [] : [`${stream.prefix}/${stream.playlist}`]),
    ...(scenes === null
      ? []
      : scenes.scenes.flatMap(({ thumbnail }) =>
          thumbnail === null ? [] : [`${scenes.prefix}/${thumbnail}`],
        )),
  ];
  const folders = [...new Set(paths.map(parentOf))];
  return folders.length === 0 ? null : folders;
}

/** All folders that hold bytes of a video: its original's, and those of what was made of it. */
export function foldersOf({
  storageKey,
  productFolders,
}: Pick<VideoRow, 'storageKey' | 'productFolders'>): readonly string[] {
  return [parentOf(storageKey), ...(productFolders ?? [])];
}

/** Has folders deleted that a video does not need any more, when so many seconds have passed. */
export async function deleteFolders(
  tx: Transaction,
  { teamId }: Pick<VideoRow, 'teamId'>,
  { folders, keepSeconds }: { readonly folders: readonly string[]; readonly keepSeconds: number },
): Promise<void> {
  await enqueueMany(
    tx,
    deleteObjects,
    folders.map((prefix) => ({
      subjectId: uuidv7(),
      teamId,
      payload: { prefix, keep: null, lastClaim: null },
      ...(keepSeconds === 0 ? {} : { runAt: new Date(Date.now() + keepSeconds * 1000) }),
    })),
  );
}
