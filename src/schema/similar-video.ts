import { getSchemaConfig, queryFromInfo } from '@pothos/plugin-drizzle';
import type { GraphQLResolveInfo } from 'graphql';
import { findSimilar, type SimilarOptions } from '../services/similar-videos.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { badUserInput } from './errors.ts';

/** A video that looks like another. */
interface SimilarRow {
  /** A row of videos, with what is selected of it. */
  readonly video: { readonly id: string };
  readonly similarity: number;
}

/** Its fields are with those of Video, which it leads to. */
export const SimilarVideo = builder.objectRef<SimilarRow>('SimilarVideo');

const LIMIT = { default: 10, max: 50 };
const MIN_SIMILARITY = { default: 0.8, max: 1 };
/** To compare one video with all others of its team is as much work as some forty rows of a page. */
const COMPARISON_COST = 400;

/** What `similar` takes. */
export const similarArgs = builder.args((t) => ({
  limit: t.int({ required: true, defaultValue: LIMIT.default }),
  minSimilarity: t.float({ required: true, defaultValue: MIN_SIMILARITY.default }),
}));

/** What `similar` costs; a limit out of bounds is refused by the field itself. */
export function similarCost({ limit }: { readonly limit?: number }) {
  const multiplier = Math.min(Math.max(limit ?? LIMIT.default, 0), LIMIT.max);
  return { field: COMPARISON_COST, multiplier };
}

/** What a field is asked with. */
interface Asked {
  readonly args: SimilarOptions;
  readonly context: Context;
  readonly info: GraphQLResolveInfo;
}

/**
 * Reads the videos that look like one of the viewer's; their rows by one statement.
 * @throws BAD_USER_INPUT when an argument is out of bounds
 */
export async function readSimilar(
  { id: videoId, teamId }: { readonly id: string; readonly teamId: string },
  { args, context, info }: Asked,
): Promise<readonly SimilarRow[] | null> {
  checkBounds(args);
  const { db } = context;
  const found = await findSimilar(db, { teamId, videoId }, args);
  if (found === null || found.length === 0) return found === null ? null : [];
  const ids = found.map(({ videoId: similarId }) => similarId);
  const config = getSchemaConfig(builder);
  const where = { id: { in: ids }, teamId };
  const rows = await db.query.videos.findMany(
    queryFromInfo({ config, context, info, paths: [['video']], columns: { id: true }, where }),
  );
  const byId = new Map(rows.map((row) => [row.id, row]));
  // One that was deleted meanwhile is none any more.
  return found.flatMap(({ videoId: similarId, similarity }) => {
    const video = byId.get(similarId);
    return video ? [{ video, similarity }] : [];
  });
}

function checkBounds({ limit, minSimilarity }: SimilarOptions): void {
  if (limit < 1 || limit > LIMIT.max) throw badUserInput(`limit must be 1 to ${LIMIT.max}, not ${limit}.`);
  if (minSimilarity < 0 || minSimilarity > MIN_SIMILARITY.max)
    throw badUserInput(`minSimilarity must be 0 to ${MIN_SIMILARITY.max}, not ${minSimilarity}.`);
}
