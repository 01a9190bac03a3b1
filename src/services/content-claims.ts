import { and, asc, eq, sql } from 'drizzle-orm';
import type { Database, Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { tasks } from '../db/tables/tasks.ts';
import { contentClaims } from '../db/tables/videos.ts';
import { settleContent } from '../jobs/definitions.ts';
import { enqueue } from '../jobs/queue.ts';

/** A content within an index, and the team whose index that is. */
interface Content {
  readonly teamId: string;
  readonly indexId: string;
  readonly sha256: string;
}

export type ContentClaim = typeof contentClaims.$inferSelect;

const claimOn = ({ indexId, sha256 }: Pick<Content, 'indexId' | 'sha256'>) =>
  and(eq(contentClaims.indexId, indexId), eq(contentClaims.sha256, sha256));

/** Takes the claim on a content for a task if nobody has it; whoever holds it is locked until the transaction ends. */
export async function claimContent(tx: Transaction, claim: ContentClaim): Promise<ContentClaim> {
  // An update that changes nothing, because it locks and returns the row that is there.
  const [held] = await tx
    .insert(contentClaims)
    .values(claim)
    .onConflictDoUpdate({
      target: [contentClaims.indexId, contentClaims.sha256],
      set: { sha256: sql`excluded.sha256` },
    })
    .returning();
  if (!held) throw new Error('a claim was neither made nor found');
  return held;
}

/** The task that held its content has brought it in: the video alone holds it now. */
export async function settleClaim(tx: Transaction, task: Content & { readonly id: string }): Promise<void> {
  const changed = await tx
    .update(contentClaims)
    .set({ taskId: null })
    .where(and(claimOn(task), eq(contentClaims.taskId, task.id)))
    .returning();
  if (changed.length > 0) await wakeWaiting(tx, task);
}

/** A video no longer has a content, or is gone: its claim goes to another video that has it, or with it. */
export async function releaseClaim(tx: Transaction, content: Content, videoId: string): Promise<void> {
  const [claim] = await tx.select().from(contentClaims).where(claimOn(content)).for('update');
  if (claim?.videoId !== videoId) return;
  const heir = await findHeir(tx, content, videoId);
  if (heir)
    await tx.update(contentClaims).set({ videoId: heir.id, taskId: heir.makerId }).where(claimOn(content));
  else await tx.delete(contentClaims).where(claimOn(content));
  await wakeWaiting(tx, content);
}

/** Another video with the content: one that is in, or else one that a task is still making, which holds the claim then. */
async function findHeir(tx: Transaction, { indexId, sha256 }: Content, videoId: string) {
  const { rows } = await tx.execute<{ id: string; makerId: string | null }>(sql`
    select v.id, t.id as "makerId" from videos v
      left join tasks t on t.video_id = v.id and t.made_video and t.finished_at is null
     where v.index_id = ${indexId} and v.sha256 = ${sha256} and v.id <> ${videoId}
     order by t.id nulls first limit 1`);
  return rows[0] ?? null;
}

/**
 * Has those decided about who wait for this content. To be called after the claim was changed: a task that comes to
 * wait at this moment either sees the change, or is seen here.
 */
async function wakeWaiting(tx: Transaction, { teamId, indexId, sha256 }: Content): Promise<void> {
  if ((await longestWaiting(tx, { indexId, sha256 })) === null) return;
  await enqueue(tx, settleContent, { subjectId: uuidv7(), teamId, payload: { indexId, sha256 } });
}

/** The task that has waited longest for this content; null when none waits. */
export async function longestWaiting(
  db: Database | Transaction,
  { indexId, sha256 }: Pick<Content, 'indexId' | 'sha256'>,
): Promise<string | null> {
  const [row] = await db
    .select({ id: tasks.id })
    .from(tasks)
    .where(and(eq(tasks.indexId, indexId), eq(tasks.sha256, sha256), eq(tasks.waitingFor, 'SAME_CONTENT')))
    .orderBy(asc(tasks.id))
    .limit(1);
  return row?.id ?? null;
}

/**
 * Wakes those who wait for a content that no unfinished task holds: nobody should, unless a job that was to decide about them
 * failed for good.
 * @returns how many contents those were
 */
export async function wakeForgotten(db: Database): Promise<number> {
  const { rows } = await db.execute<{ team_id: string; index_id: string; sha256: string }>(sql`
    select distinct t.team_id, t.index_id, t.sha256
      from tasks t
      left join content_claims c on c.index_id = t.index_id and c.sha256 = t.sha256
     where t.waiting_for = 'SAME_CONTENT' and c.task_id is null
       and not exists (select from jobs j where j.kind = ${settleContent.kind}
                          and j.payload ->> 'indexId' = t.index_id::text and j.payload ->> 'sha256' = t.sha256)`);
  for (const { team_id: teamId, index_id: indexId, sha256 } of rows) {
    await enqueue(db, settleContent, { subjectId: uuidv7(), teamId, payload: { indexId, sha256 } });
  }
  return rows.length;
}
