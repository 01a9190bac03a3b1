import { randomBytes } from 'node:crypto';
import { sql } from 'drizzle-orm';
import { z } from 'zod';
import type { Database } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { uploadTokens } from '../db/tables/uploads.ts';
import type { Services } from './deps.ts';
import { findTarget } from './import-target.ts';
import { parseInput } from './input-rules.ts';
import { hashApiKey, type Viewer } from './viewer.ts';

const MIN_SECONDS = 60;
const MAX_SECONDS = 24 * 3600;

const createUploadTokenInput = (mostBytes: number) =>
  z.object({
    teamId: z.string().nullish(),
    indexId: z.string().nullish(),
    maxBytes: wholeNumber(1, mostBytes).nullish(),
    expiresInSeconds: wholeNumber(MIN_SECONDS, MAX_SECONDS),
  });

const wholeNumber = (min: number, max: number) =>
  z.number().superRefine((value, context) => {
    const add = (issue: string, message: string) =>
      context.addIssue({ code: 'custom', message, params: { issue } });
    if (value < min) add('TOO_SMALL', `must be at least ${min}`);
    if (value > max) add('TOO_LARGE', `must be at most ${max}`);
  });

/** A token that was just made; it is not kept, only its hash is. */
export interface MadeToken {
  readonly token: string;
  readonly expiresAt: Date;
}

/**
 * Makes a token that may begin and finish one upload, make one task of it and watch that, and nothing else. It ends by its
 * time, and with the key that made it.
 * @param input as the API takes it, not checked yet
 * @throws {InvalidInputError}
 * @throws {NotFoundError} when an id names nothing that the viewer reaches
 */
export async function createUploadToken(
  { db, uploadMaxBytes: mostBytes }: Pick<Services, 'db' | 'uploadMaxBytes'>,
  viewer: Viewer,
  input: unknown,
): Promise<MadeToken> {
  const parsed = parseInput(createUploadTokenInput(mostBytes), 'input', input);
  const { teamId, index } = await findTarget(db, viewer, parsed);
  const token = `slu_${randomBytes(32).toString('base64url')}`;
  const [row] = await db
    .insert(uploadTokens)
    .values({
      id: uuidv7(),
      hash: hashApiKey(token),
      teamId,
      keyId: viewer.keyId,
      indexId: index.id,
      maxBytes: parsed.maxBytes ?? mostBytes,
      expiresAt: sql`date_trunc('milliseconds', now()) + ${parsed.expiresInSeconds} * interval '1 second'`,
    })
    .returning({ expiresAt: uploadTokens.expiresAt });
  if (!row) throw new Error('a token was stored, but its row did not come back');
  return { token, expiresAt: row.expiresAt };
}

/** The viewer behind an upload token; null when there is no such token, it has expired, or its key may not do this any more. */
export async function authenticateToken(db: Database, token: string): Promise<Viewer | null> {
  const { rows } = await db.execute<{
    id: string;
    team_id: string;
    index_id: string;
    max_bytes: string;
    key_id: string;
    name: string;
  }>(sql`
    select t.id, t.team_id, t.index_id, t.max_bytes, t.key_id, k.name
      from upload_tokens t
      join api_keys k on k.id = t.key_id and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
       and k.scopes && array['WRITE', 'ADMIN']
      join api_key_teams kt on kt.api_key_id = k.id and kt.team_id = t.team_id
     where t.hash = ${hashApiKey(token)} and t.expires_at > now()`);
  const [row] = rows;
  if (!row) return null;
  return {
    keyId: row.key_id,
    keyName: row.name,
    scopes: [],
    defaultTeamId: row.team_id,
    teamIds: [row.team_id],
    uploadToken: { id: row.id, indexId: row.index_id, maxBytes: Number(row.max_bytes) },
  };
}
