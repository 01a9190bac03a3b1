import { eq } from 'drizzle-orm';
import type { Database, Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { indexes } from '../db/tables/indexes.ts';
import { teams } from '../db/tables/teams.ts';
import { transaction } from '../db/transaction.ts';
import { ManageError } from './errors.ts';
import { fromPublicId, toPublicId } from './public-ids.ts';
import { usedBy } from './usage.ts';

/** What a team's videos may come to; null: no limit; left out: as it is. */
export interface TeamLimits {
  readonly maxVideos?: number | null | undefined;
  readonly maxBytes?: number | null | undefined;
  readonly maxSeconds?: number | null | undefined;
}

/** A team with its limits, as the operator is told of it. Bytes, seconds. */
export interface TeamEntry {
  readonly id: string;
  readonly name: string;
  readonly videos: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly maxVideos: number | null;
  readonly maxBytes: number | null;
  readonly maxSeconds: number | null;
}

/** Stores a team with the default index that every team has. @returns its row id */
export async function storeTeam(tx: Transaction, name: string, limits: TeamLimits = {}): Promise<string> {
  const teamId = uuidv7();
  await tx.insert(teams).values({ id: teamId, name, ...limits });
  await tx.insert(indexes).values({ id: uuidv7(), teamId, name: 'Default index', isDefault: true });
  return teamId;
}

/** Makes a team with a default index. @returns its public id */
export async function createTeam(db: Database, name: string, limits: TeamLimits): Promise<string> {
  return toPublicId('Team', await transaction(db, (tx) => storeTeam(tx, name, limits)));
}

/**
 * Changes a team's name and limits. Lower limits take nothing away: what is there stays, and what is on its way in and was
 * promised room comes in.
 * @throws {ManageError} when there is no such team
 */
export async function setTeam(
  db: Database,
  team: string,
  change: TeamLimits & { readonly name?: string | undefined },
): Promise<void> {
  const id = await findTeam(db, team);
  if (Object.values(change).every((value) => value === undefined)) return;
  await db.update(teams).set(change).where(eq(teams.id, id));
}

/** All teams, the oldest first. */
export async function listTeams(db: Database): Promise<readonly TeamEntry[]> {
  const rows = await db.query.teams.findMany({
    columns: { createdAt: false, mediaEpoch: false },
    extras: { used: (team) => usedBy(team.id) },
    orderBy: { createdAt: 'asc', id: 'asc' },
  });
  return rows.map(({ used: { videos, bytes, milliseconds }, ...team }) => ({
    ...team,
    id: toPublicId('Team', team.id),
    videos,
    bytes,
    seconds: milliseconds / 1000,
  }));
}

/**
 * The team that an operator names, by its id or by its name.
 * @returns its row id
 * @throws {ManageError} when there is none, or several have the name
 */
export async function findTeam(db: Database | Transaction, team: string): Promise<string> {
  const id = fromPublicId('Team', team);
  const found = await db
    .select({ id: teams.id })
    .from(teams)
    .where(id === null ? eq(teams.name, team) : eq(teams.id, id));
  const [one, ...others] = found;
  if (one === undefined) throw new ManageError(`there is no team "${team}"; \`sluice teams list\` shows all`);
  if (others.length > 0)
    throw new ManageError(`several teams are called "${team}": name the one that is meant by its id`);
  return one.id;
}
