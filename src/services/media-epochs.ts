import { eq, ne, sql } from 'drizzle-orm';
import type { Logger } from 'pino';
import type { Database } from '../db/client.ts';
import type { Notifications } from '../db/notifications.ts';
import { teams } from '../db/tables/teams.ts';
import { transaction } from '../db/transaction.ts';
import { findTeam } from './manage-teams.ts';
import { toPublicId } from './public-ids.ts';

/** Epochs are of 16 bits and begin again: by then, no URL of the first is valid any more. */
const EPOCHS = 65_536;
const CHANNEL = 'sluice_media_epochs';
/** After how long a look that failed is repeated, and the first one. */
const RETRY_MS = 1_000;

/**
 * Calls back all media URLs of a team that were handed out so far, on all servers at once; those that are handed out from now on
 * hold again.
 * @returns the team whose URLs they were, by its public id and its name
 * @throws {ManageError} when there is no such team
 */
export async function revokeMediaUrls(
  db: Database,
  team: string,
): Promise<{ readonly id: string; readonly name: string }> {
  const id = await findTeam(db, team);
  const name = await transaction(db, async (tx) => {
    const mediaEpoch = sql`(${teams.mediaEpoch} + 1) % ${EPOCHS}`;
    const where = eq(teams.id, id);
    const [changed] = await tx.update(teams).set({ mediaEpoch }).where(where).returning({ name: teams.name });
    await tx.execute(sql`select pg_notify(${CHANNEL}, '')`);
    return changed?.name ?? team;
  });
  return { id: toPublicId('Team', id), name };
}

/** What epoch each team is in, known without asking. */
export interface MediaEpochs {
  /** 0 for a team whose URLs were never called back. */
  of(teamId: string): number;
  /** What somebody else has just read of a team. */
  note(teamId: string, epoch: number): void;
  stop(): void;
}

/**
 * Keeps the epochs of all teams in memory. A server that does not know of a new one yet makes URLs that do not hold; it
 * never takes one that was called back, for that is looked up with the video.
 */
export async function watchMediaEpochs({
  db,
  notifications,
  log,
}: {
  readonly db: Database;
  readonly notifications: Pick<Notifications, 'listen' | 'onReconnect'>;
  readonly log: Logger;
}): Promise<MediaEpochs> {
  let epochs = new Map<string, number>();
  let retry: NodeJS.Timeout | undefined;
  let looking: Promise<void> | undefined;
  let isStopped = false;

  const read = async () => {
    const rows = await db
      .select({ id: teams.id, epoch: teams.mediaEpoch })
      .from(teams)
      .where(ne(teams.mediaEpoch, 0));
    epochs = new Map(rows.map(({ id, epoch }) => [id, epoch]));
  };
  const look = () => {
    clearTimeout(retry);
    // One that is under way may have begun too early.
    looking = (looking ?? Promise.resolve()).then(read).catch((error: unknown) => {
      if (isStopped) return;
      log.warn({ err: error }, 'which media URLs were called back was not read; it is tried again');
      retry = setTimeout(look, RETRY_MS);
    });
  };

  const ends = [notifications.listen(CHANNEL, look), notifications.onReconnect(look)];
  await read();
  // What was sent before the channel was listened to is lost.
  retry = setTimeout(look, RETRY_MS);
  return {
    of: (teamId) => epochs.get(teamId) ?? 0,
    note(teamId, epoch) {
      if (epoch !== (epochs.get(teamId) ?? 0)) epochs.set(teamId, epoch);
    },
    stop() {
      isStopped = true;
      clearTimeout(retry);
      for (const end of ends) end();
    },
  };
}
