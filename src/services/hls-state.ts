import type { HlsStatus } from '../db/tables/products.ts';
import type { tasks } from '../db/tables/tasks.ts';
import type { videos } from '../db/tables/videos.ts';

type VideoColumns = Pick<
  typeof videos.$inferSelect,
  'id' | 'teamId' | 'stream' | 'pictures' | 'hlsStatus' | 'hlsUpdatedAt'
>;
type TaskColumns = Pick<
  typeof tasks.$inferSelect,
  'stages' | 'status' | 'createdAt' | 'startedAt' | 'finishedAt'
>;

/** Where the HLS of a video, or of a task, stands. */
export interface HlsState {
  readonly status: HlsStatus;
  readonly updatedAt: Date;
  /** The video whose stream is in place; null with any other status than COMPLETE. */
  readonly video: VideoColumns | null;
}

/** Where the HLS of a video stands; null where it was never asked for. */
export function videoHls(video: VideoColumns): HlsState | null {
  const { hlsStatus: status, hlsUpdatedAt: updatedAt } = video;
  if (status === null || updatedAt === null) return null;
  return { status, updatedAt, video: status === 'COMPLETE' ? video : null };
}

/**
 * Where the HLS stands that a task was to make; null where it was to make none. Once the task has ended well, it is what its
 * video has by now: null when that is gone, or its version replaced by one without.
 */
export function taskHls({
  video,
  ...task
}: TaskColumns & { readonly video: VideoColumns | null }): HlsState | null {
  const stage = task.stages.find(({ name }) => name === 'STREAM');
  if (!stage) return null;
  const of = (status: HlsStatus, instant: string | undefined): HlsState => ({
    status,
    updatedAt:
      instant === undefined ? (task.finishedAt ?? task.startedAt ?? task.createdAt) : new Date(instant),
    video: null,
  });
  if (stage.state === 'FAILED') return of('ERROR', stage.finishedAt);
  switch (task.status) {
    case 'READY':
    case 'SKIPPED':
      return video && videoHls(video);
    case 'FAILED':
      return of('ERROR', stage.finishedAt);
    case 'CANCELED':
      return of('CANCELED', stage.finishedAt);
    default:
      return of('PROCESSING', stage.startedAt);
  }
}
