import type { Readable } from 'node:stream';
import type { Database } from '../db/client.ts';
import type { ByteRange, Storage } from '../storage/adapter.ts';

/** The original file of a video, as it is served. */
export interface VideoFile {
  /** In bytes. */
  readonly size: number;
  readonly mimeType: string;
  readonly sha256: string;
  readonly fileName: string;
  /** Opens it, or a part of it; both ends of a range are inclusive. */
  open(range?: ByteRange): Promise<Readable>;
}

/** The file of a team's video; null when there is no such video, or its file is gone. */
export async function findVideoFile(
  { db, storage }: { readonly db: Database; readonly storage: Storage },
  { teamId, videoId }: { readonly teamId: string; readonly videoId: string },
): Promise<VideoFile | null> {
  const row = await db.query.videos.findFirst({
    where: { id: videoId, teamId },
    columns: { storageKey: true, sha256: true, fileName: true, systemMetadata: true },
  });
  const stored = row && (await storage.stat(row.storageKey));
  if (!stored) return null;
  const { storageKey, sha256, fileName, systemMetadata } = row;
  return {
    size: stored.size,
    mimeType: systemMetadata.mimeType,
    sha256,
    fileName,
    open: (range) => storage.read(storageKey, range),
  };
}
