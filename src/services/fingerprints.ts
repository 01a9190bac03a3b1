import { eq, sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { videoFingerprints } from '../db/tables/fingerprints.ts';
import { bandsOf, type Fingerprint, packFrames, unpackFrames } from './fingerprint-code.ts';

/**
 * Stores what the pictures of a video look like, in the place of what was known before. A video that is gone gets nothing. What is
 * stored is of the content that the video has now, and goes with the video.
 */
export async function storeFingerprint(
  tx: Transaction,
  video: { readonly id: string; readonly teamId: string },
  fingerprint: Fingerprint,
): Promise<void> {
  const frames = packFrames(fingerprint);
  const bands = bandsOf(unpackFrames(frames));
  await tx.delete(videoFingerprints).where(eq(videoFingerprints.videoId, video.id));
  await tx.execute(sql`
    with stored as (
      insert into video_fingerprints (video_id, team_id, sha256, frames)
      select id, team_id, sha256, ${frames} from videos where id = ${video.id} and team_id = ${video.teamId}
      returning video_id, team_id
    )
    insert into video_fingerprint_bands (team_id, band, video_id)
    select team_id, band, video_id from stored, unnest(${sql.param(bands)}::integer[]) band`);
}
