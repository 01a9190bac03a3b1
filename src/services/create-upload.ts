import { randomUUID } from 'node:crypto';
import { sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import type { UploadMetadata } from '../db/tables/uploads.ts';
import { transaction } from '../db/transaction.ts';
import type { Services } from './deps.ts';
import { UploadRefusedError } from './errors.ts';
import { fromPublicId } from './public-ids.ts';
import { UPLOAD_SECONDS } from './upload-rows.ts';
import { limitsPassedBy } from './usage.ts';
import type { Viewer } from './viewer.ts';

/** How many unfinished uploads a team may have at once. */
const MOST_UNFINISHED = 100;
/** How many uploads of a team may wait to be used, the unfinished ones among them: as many as one call can name. */
const MOST_UNUSED = 10_000;
/** Those who would begin one at the same time look one after the other what room the others have left. */
const LOCK = 7_418_529_631;

/** A row id for an upload: all random, for it is part of a URL. */
export const newUploadId = (): string => randomUUID();

interface NewUpload {
  readonly id: string;
  /** In bytes. */
  readonly length: number;
  /** `teamId` names the team, else it is the key's default team. */
  readonly metadata: UploadMetadata | null;
}

/**
 * Notes an upload that is about to begin, and keeps room for all of it.
 * @throws {UploadRefusedError} when the team is none of the viewer's, it has too many unfinished ones, the storage has no
 *   room for it, the token was used already, or the metadata cannot be stored
 */
export async function createUpload(
  { db, storage }: Pick<Services, 'db' | 'storage'>,
  viewer: Viewer,
  { id, length, metadata }: NewUpload,
): Promise<void> {
  const teamId = teamOf(viewer, metadata);
  if (Object.entries(metadata ?? {}).some(([, value]) => value?.includes('\0')))
    throw new UploadRefusedError('INVALID', 'Upload-Metadata must not contain the character U+0000.');
  const { uploadToken } = viewer;
  if (uploadToken !== undefined && length > uploadToken.maxBytes)
    throw new UploadRefusedError('TOO_LARGE', `This token is for at most ${uploadToken.maxBytes} bytes.`);
  // Asked before the lock: a slow volume must not hold up the others.
  const available = await storage.availableBytes();
  await transaction(db, async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${LOCK})`);
    await assertRoom(tx, { teamId, length, available });
    const { rowCount } = await tx.execute(sql`
      insert into uploads (id, team_id, token_id, length, metadata, expires_at)
      values (${id}, ${teamId}, ${uploadToken?.id ?? null}, ${length}, ${JSON.stringify(metadata)}::jsonb,
              now() + ${UPLOAD_SECONDS} * interval '1 second')
      on conflict do nothing`);
    if (rowCount === 0)
      throw new UploadRefusedError('FORBIDDEN', 'This token was used for an upload already: it is for one.');
  });
}

/** Forgets an upload that could not be begun after all. */
export async function forgetUpload({ db }: Pick<Services, 'db'>, id: string): Promise<void> {
  await db.execute(sql`delete from uploads where id = ${id} and received = 0 and used_at is null`);
}

function teamOf(viewer: Viewer, metadata: UploadMetadata | null): string {
  const named = metadata?.teamId;
  if (named == null) return viewer.defaultTeamId;
  const id = fromPublicId('Team', named);
  if (id === null || !viewer.teamIds.includes(id))
    throw new UploadRefusedError('NOT_FOUND', 'There is no such team.');
  return id;
}

async function assertRoom(
  tx: Transaction,
  {
    teamId,
    length,
    available,
  }: { readonly teamId: string; readonly length: number; readonly available: number | null },
): Promise<void> {
  // What is complete and of no video yet counts too: otherwise a team could fill the storage, whatever its limits are.
  const { rows } = await tx.execute<{
    unfinished: number;
    count: number;
    unused: string;
    missing: string;
  }>(sql`
    select count(*) filter (where team_id = ${teamId} and completed_at is null)::int as unfinished,
           count(*) filter (where team_id = ${teamId} and used_at is null)::int as count,
           coalesce(sum(length) filter (where team_id = ${teamId} and used_at is null), 0)::text as unused,
           coalesce(sum(length - received) filter (where completed_at is null), 0)::text as missing
      from uploads where (completed_at is null or used_at is null) and removed_at is null and expires_at > now()`);
  const [row] = rows;
  if (row !== undefined && row.unfinished >= MOST_UNFINISHED)
    throw new UploadRefusedError(
      'TOO_MANY',
      `A team may have ${MOST_UNFINISHED} unfinished uploads at once. Finish or delete some of them.`,
    );
  if (row !== undefined && row.count >= MOST_UNUSED)
    throw new UploadRefusedError(
      'TOO_MANY',
      `A team may have ${MOST_UNUSED} uploads at once that no task uses. Use or delete some of them.`,
    );
  const passed = await limitsPassedBy(tx, teamId, {
    videos: 0,
    bytes: Number(row?.unused ?? 0) + length,
    milliseconds: 0,
  });
  if (passed.includes('BYTES'))
    throw new UploadRefusedError('TOO_LARGE', 'The team may not have that many bytes more.');
  if (available !== null && available < length + Number(row?.missing ?? 0))
    throw new UploadRefusedError('FULL', 'The storage has no room for this upload. Try again later.');
}
