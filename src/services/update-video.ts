import { eq } from 'drizzle-orm';
import { z } from 'zod';
import { databaseNow } from '../db/tables/types.ts';
import { videos } from '../db/tables/videos.ts';
import { transaction } from '../db/transaction.ts';
import type { Services } from './deps.ts';
import { NotFoundError } from './errors.ts';
import { ownedBy } from './filters.ts';
import { metadata, parseInput, text } from './input-rules.ts';
import type { Viewer } from './viewer.ts';

const updateVideoInput = z.object({
  id: z.string(),
  name: text(1, 255).nullish(),
  description: text(0, 511).nullish(),
  metadata: metadata.nullish(),
});

/**
 * Changes what is said about a video. What is left out stays; null clears it, and takes the name back to the file's.
 * @param input as the API takes it, not checked yet
 * @returns the row id
 * @throws {InvalidInputError} with everything that is wrong
 * @throws {NotFoundError} when it is none of the viewer's
 */
export async function updateVideo(services: Services, viewer: Viewer, input: unknown): Promise<string> {
  const { id, name, description, metadata } = parseInput(updateVideoInput, 'input', input);
  const where = ownedBy(viewer, 'Video', id);
  const found = where && (await services.db.query.videos.findFirst({ where, columns: { id: true } }));
  if (!found) throw new NotFoundError('video', ['input', 'id']);
  const teamId = await transaction(services.db, async (tx) => {
    const [row] = await tx.select().from(videos).where(eq(videos.id, found.id)).for('no key update');
    if (!row) throw new NotFoundError('video', ['input', 'id']);
    await tx
      .update(videos)
      .set({
        ...(name === undefined ? {} : { name: name ?? row.fileName }),
        ...(description === undefined ? {} : { description }),
        ...(metadata === undefined ? {} : { metadata }),
        updatedAt: databaseNow,
      })
      .where(eq(videos.id, row.id));
    return row.teamId;
  });
  services.changes.announce({ teamId, importId: null });
  return found.id;
}
