import { setImmediate as nextTurn } from 'node:timers/promises';
import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import { similarityOf } from './compare-fingerprints.ts';
import { bandsOf, type Frames, unpackFrames } from './fingerprint-code.ts';

/** A video that looks like another. */
export interface SimilarVideo {
  readonly videoId: string;
  /** 0 to 1, 1 for the same pictures. */
  readonly similarity: number;
}

/** What is looked for: `limit` videos at most, each at least so similar. */
export interface SimilarOptions {
  readonly limit: number;
  readonly minSimilarity: number;
}

/** So many of those that have most in common are compared picture by picture. */
const MOST_CANDIDATES = 200;
/** After so long, others have their turn; in milliseconds. */
const AT_ONCE_MS = 10;
/** After so long nobody waits for an answer any more; in milliseconds. */
const GIVE_UP_MS = 10_000;

/** It was not this one's turn, or not for long enough, before whoever asked had an answer. */
class TooLateError extends Error {
  override readonly name = 'TooLateError';
}

let latest: Promise<unknown> = Promise.resolve();

/**
 * Does work when all that was asked for before is over. Films that are compared take the time that all requests share, and
 * memory: a page that asks for each of its rows must not take both a hundredfold.
 */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const result = latest.then(work);
  latest = result.catch(() => {});
  return result;
}

/**
 * The videos of a team that look like one of them, nearest first; of those as near, the oldest first.
 * @returns null when it is not known what the video looks like
 */
export function findSimilar(
  db: Database,
  wanted: { readonly teamId: string; readonly videoId: string },
  options: SimilarOptions,
): Promise<readonly SimilarVideo[] | null> {
  const until = performance.now() + GIVE_UP_MS;
  return inTurn(() => compareAll(db, wanted, { ...options, until }));
}

async function compareAll(
  db: Database,
  { teamId, videoId }: { readonly teamId: string; readonly videoId: string },
  { limit, minSimilarity, until }: SimilarOptions & { readonly until: number },
): Promise<readonly SimilarVideo[] | null> {
  if (performance.now() > until) throw new TooLateError();
  const own = await readFrames(db, videoId);
  if (own === null) return null;
  const candidates = await readCandidates(db, { teamId, videoId, own });
  const found: SimilarVideo[] = [];
  let begun = performance.now();
  for (const candidate of candidates) {
    if (performance.now() - begun > AT_ONCE_MS) {
      await nextTurn();
      begun = performance.now();
      if (begun > until) throw new TooLateError();
    }
    const similarity = similarityOf(own, unpackFrames(candidate.frames), minSimilarity);
    if (similarity >= minSimilarity) found.push({ videoId: candidate.videoId, similarity });
  }
  return found
    .sort((a, b) => b.similarity - a.similarity || (a.videoId < b.videoId ? -1 : 1))
    .slice(0, limit);
}

/** What a video looks like as it is now; null when that is not known. */
async function readFrames(db: Database, videoId: string): Promise<Frames | null> {
  const { rows } = await db.execute<{ frames: Buffer }>(sql`
    select frames from video_fingerprints join videos on id = video_id and videos.sha256 = video_fingerprints.sha256
     where video_id = ${videoId}`);
  return rows[0] ? unpackFrames(rows[0].frames) : null;
}

interface Wanted {
  readonly teamId: string;
  readonly videoId: string;
  readonly own: Frames;
}

/** The bands are in the statement as values, so that each is looked up in the index and no row of other bands is read. */
async function readCandidates(db: Database, { teamId, videoId, own }: Wanted) {
  const { rows } = await db.execute<{ videoId: string; frames: Buffer }>(sql`
    with candidates as (
      select video_id, count(*) as shared from video_fingerprint_bands
       where team_id = ${teamId} and band = any(${sql.param(bandsOf(own))}::integer[]) and video_id <> ${videoId}
       group by video_id order by shared desc, video_id limit ${MOST_CANDIDATES}
    )
    select f.video_id as "videoId", f.frames
      from candidates
      join video_fingerprints f on f.video_id = candidates.video_id
      join videos on videos.id = f.video_id and videos.team_id = ${teamId} and videos.sha256 = f.sha256`);
  return rows;
}
