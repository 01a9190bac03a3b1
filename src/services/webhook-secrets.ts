import { randomBytes } from 'node:crypto';
import { and, eq, isNull, sql } from 'drizzle-orm';
import type { Database, Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { webhookSecrets } from '../db/tables/webhooks.ts';
import { transaction } from '../db/transaction.ts';
import type { Services } from './deps.ts';
import { NotFoundError } from './errors.ts';
import { fromPublicId } from './public-ids.ts';
import type { SecretBox, SecretOwner } from './secret-box.ts';
import type { Viewer } from './viewer.ts';

const SECRET_BYTES = 32;
/** How long one that was replaced signs beside its successor. */
const OVERLAP_HOURS = 24;
/** Each adds a signature to the headers of every message. */
const MAX_SIGNING = 10;

type Deps = Pick<Services, 'db' | 'secrets'>;

/** What a secret that signs webhooks is bound to: its row. */
export const ownerOfWebhookSecret = ({
  id,
  teamId,
}: {
  readonly id: string;
  readonly teamId: string;
}): SecretOwner => ({ purpose: 'webhook-secret', teamId, rowId: id });

/**
 * The secrets that sign a team's webhooks now, as `whsec_…`: the current one, which is made here if there is none yet, then those
 * before it whose time is not over.
 * @throws {SecretBoxError} when one cannot be read
 */
export async function signingSecrets(
  { db, secrets }: Deps,
  teamId: string,
): Promise<readonly [string, ...string[]]> {
  const found = await findSecrets(db, secrets, teamId);
  if (found !== null) return found;
  // Two who find none at the same time meet at the constraint: one of them stores its own.
  await db.insert(webhookSecrets).values(newSecret(secrets, teamId)).onConflictDoNothing();
  const made = await findSecrets(db, secrets, teamId);
  if (made === null) throw new Error('a secret for webhooks was neither stored nor found');
  return made;
}

/**
 * Gives a team another secret; the old one signs too for 24 hours more.
 * @param publicTeamId the key's default team when null
 * @returns the row id of the team
 * @throws {NotFoundError}
 */
export async function rotateWebhookSecret(
  { db, secrets }: Deps,
  viewer: Viewer,
  publicTeamId: string | null,
): Promise<string> {
  const teamId = publicTeamId === null ? viewer.defaultTeamId : fromPublicId('Team', publicTeamId);
  if (teamId === null || !viewer.teamIds.includes(teamId)) throw new NotFoundError('team', ['teamId']);
  await transaction(db, async (tx) => {
    // One rotation after the other; whatever only refers to the team goes on.
    await tx.execute(sql`select from teams where id = ${teamId} for no key update`);
    await removeExpiredSecrets(tx, teamId);
    await tx
      .update(webhookSecrets)
      .set({ expiresAt: sql`date_trunc('milliseconds', now() + ${OVERLAP_HOURS} * interval '1 hour')` })
      .where(and(eq(webhookSecrets.teamId, teamId), isNull(webhookSecrets.expiresAt)));
    await tx.insert(webhookSecrets).values(newSecret(secrets, teamId));
  });
  return teamId;
}

/** Removes secrets that sign no more: of one team, or of all. @returns how many */
export async function removeExpiredSecrets(
  db: Database | Transaction,
  teamId: string | null,
): Promise<number> {
  const { rowCount } = await db.execute(sql`
    delete from webhook_secrets
     where expires_at < now() and (${teamId}::uuid is null or team_id = ${teamId}::uuid)`);
  return rowCount ?? 0;
}

async function findSecrets(
  db: Database,
  secrets: SecretBox,
  teamId: string,
): Promise<readonly [string, ...string[]] | null> {
  const { rows } = await db.execute<{ id: string; secret: string; is_current: boolean }>(sql`
    select id, secret, expires_at is null as is_current from webhook_secrets
     where team_id = ${teamId} and (expires_at is null or expires_at > now())
     order by expires_at desc nulls first, id desc limit ${MAX_SIGNING}`);
  const [current, ...before] = rows.map(({ id, secret }) =>
    secrets.open(secret, ownerOfWebhookSecret({ id, teamId })),
  );
  return current === undefined || !rows[0]?.is_current ? null : [current, ...before];
}

function newSecret(secrets: SecretBox, teamId: string): typeof webhookSecrets.$inferInsert {
  const id = uuidv7();
  const text = `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`;
  return { id, teamId, secret: secrets.seal(text, ownerOfWebhookSecret({ id, teamId })) };
}
