import type { Transaction } from '../db/client.ts';
import type { StoredSystemMetadata } from '../db/tables/videos.ts';
import type { TaskRow } from './end-task.ts';
import { NoRoomError } from './errors.ts';
import { amountOf, minus, openRoom } from './usage.ts';

/**
 * Sees, as its video comes in, whether a locked task brings no more than it was promised, or than there is room for. A
 * limit that was set after the task had begun counts as well.
 * @param replaced what the video held that gets other bytes; null for a new video
 * @throws {NoRoomError}
 */
export async function admitTask(
  tx: Transaction,
  task: TaskRow,
  replaced: StoredSystemMetadata | null,
): Promise<void> {
  const brought = amountOf(task.systemMetadata, { videos: replaced === null ? 1 : 0 });
  const freed = amountOf(replaced, { videos: 0 });
  const more = minus(minus(brought, freed), promisedTo(task));
  if (Object.values(more).every((figure) => figure <= 0)) return;
  const error = (await openRoom(tx, task.teamId))?.take(more);
  if (error) throw new NoRoomError(error);
}

const promisedTo = ({ reservedVideos, reservedBytes, reservedMilliseconds }: TaskRow) => ({
  videos: reservedVideos,
  bytes: reservedBytes,
  milliseconds: reservedMilliseconds,
});
