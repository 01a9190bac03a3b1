import { sql } from 'drizzle-orm';
import type { Database, Transaction } from '../db/client.ts';
import type { StoredError } from '../db/tables/tasks.ts';
import type { StoredSystemMetadata } from '../db/tables/videos.ts';
import { UsageLimitExceededError } from './errors.ts';

export const USAGE_LIMITS = ['VIDEOS', 'BYTES', 'SECONDS'] as const;
export type UsageLimit = (typeof USAGE_LIMITS)[number];

/** So much of what is limited. */
export interface Amount {
  readonly videos: number;
  readonly bytes: number;
  readonly milliseconds: number;
}

/** Nothing of anything. */
export const NOTHING: Amount = { videos: 0, bytes: 0, milliseconds: 0 };

/** What a team's videos hold, and what they may hold at most; null: no limit. */
export interface Usage {
  readonly videos: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly maxVideos: number | null;
  readonly maxBytes: number | null;
  readonly maxSeconds: number | null;
}

/** What counts against a team's limits: what its videos hold, and what its unfinished tasks were promised. */
interface Standing {
  readonly taken: Amount;
  readonly maxima: Readonly<Record<UsageLimit, number | null>>;
}

/** What a video with these figures takes; what is not known yet takes nothing. */
export function amountOf(
  known: Partial<Pick<StoredSystemMetadata, 'size' | 'duration'>> | null,
  { videos, size = known?.size }: { readonly videos: number; readonly size?: number | null | undefined },
): Amount {
  return { videos, bytes: size ?? 0, milliseconds: Math.round((known?.duration ?? 0) * 1000) };
}

/** Adds two amounts up. */
export const plus = (a: Amount, b: Amount): Amount => ({
  videos: a.videos + b.videos,
  bytes: a.bytes + b.bytes,
  milliseconds: a.milliseconds + b.milliseconds,
});

/** What is left of an amount. */
export const minus = (a: Amount, b: Amount): Amount => ({
  videos: a.videos - b.videos,
  bytes: a.bytes - b.bytes,
  milliseconds: a.milliseconds - b.milliseconds,
});

/** One figure of an amount, in the unit of its limit. */
const figure = (limit: UsageLimit, { videos, bytes, milliseconds }: Amount): number =>
  limit === 'VIDEOS' ? videos : limit === 'BYTES' ? bytes : milliseconds / 1000;

/** The limits that an amount on top of what is taken would pass; one that it does not add to is none of them. */
function passed({ taken, maxima }: Standing, more: Amount): readonly UsageLimit[] {
  return USAGE_LIMITS.filter((limit) => {
    const maximum = maxima[limit];
    return maximum !== null && figure(limit, more) > 0 && figure(limit, plus(taken, more)) > maximum;
  });
}

/** The sums of the figures, in one snapshot: those that were added up, and the changes since. */
const sumOf = (column: string, teamId: unknown) => sql`(
  coalesce((select ${sql.identifier(column)} from team_usage where team_id = ${teamId}), 0)
  + coalesce((select sum(${sql.identifier(column)}) from team_usage_changes where team_id = ${teamId}), 0))`;

/** What a team uses, as a JSON object: a part of the statement that reads the team. */
export const usedBy = (teamId: unknown) => sql<Amount>`jsonb_build_object(
  'videos', ${sumOf('videos', teamId)}, 'bytes', ${sumOf('bytes', teamId)}, 'milliseconds', ${sumOf('milliseconds', teamId)})`;

async function readMaxima(db: Database | Transaction, teamId: string): Promise<Standing['maxima'] | null> {
  const team = await db.query.teams.findFirst({
    where: { id: teamId },
    columns: { maxVideos: true, maxBytes: true, maxSeconds: true },
  });
  if (!team) return null;
  const maxima = { VIDEOS: team.maxVideos, BYTES: team.maxBytes, SECONDS: team.maxSeconds };
  return Object.values(maxima).every((maximum) => maximum === null) ? null : maxima;
}

async function readStanding(
  db: Database | Transaction,
  teamId: string,
  maxima: Standing['maxima'],
): Promise<Standing> {
  const { rows } = await db.execute<{ videos: string; bytes: string; milliseconds: string }>(sql`
    select ${sumOf('videos', teamId)} + ${sumOf('reserved_videos', teamId)} as videos,
           ${sumOf('bytes', teamId)} + ${sumOf('reserved_bytes', teamId)} as bytes,
           ${sumOf('milliseconds', teamId)} + ${sumOf('reserved_milliseconds', teamId)} as milliseconds`);
  const [row] = rows;
  if (!row) throw new Error('the database gave no sums');
  const { videos, bytes, milliseconds } = row;
  return {
    taken: { videos: Number(videos), bytes: Number(bytes), milliseconds: Number(milliseconds) },
    maxima,
  };
}

/**
 * Refuses a call as a whole when there is no room for anything.
 * @throws {UsageLimitExceededError} when a limit of the team is reached
 */
export async function assertRoom(db: Database | Transaction, teamId: string): Promise<void> {
  const maxima = await readMaxima(db, teamId);
  if (maxima === null) return;
  assertNotReached(await readStanding(db, teamId, maxima));
}

function assertNotReached({ taken, maxima }: Standing): void {
  for (const limit of USAGE_LIMITS) {
    const maximum = maxima[limit];
    if (maximum !== null && figure(limit, taken) >= maximum) throw exceeded(limit, taken, maximum);
  }
}

const exceeded = (limit: UsageLimit, amount: Amount, maximum: number) =>
  new UsageLimitExceededError(limit, {
    used: Math.ceil(figure(limit, amount)),
    maximum: Math.ceil(maximum),
  });

/** The limits that an amount would pass if it came in now. */
export async function limitsPassedBy(
  db: Database | Transaction,
  teamId: string,
  more: Amount,
): Promise<readonly UsageLimit[]> {
  const maxima = await readMaxima(db, teamId);
  return maxima === null ? [] : passed(await readStanding(db, teamId, maxima), more);
}

/** What a team may still take, to be shared out within one transaction. */
export interface Room {
  /** Takes an amount if there is room for it. @returns why there is not; null when it is taken */
  take(amount: Amount): StoredError | null;
  /** @throws {UsageLimitExceededError} when a limit is reached, or this much would pass one */
  takeOrRefuse(amount: Amount): void;
}

/**
 * Opens what a team may still take: who shares it out at the same time, on whatever server, waits here until this transaction
 * is over, so that no limit is ever passed. The team's row is the last lock that a transaction takes.
 * @returns null for a team without limits: nothing needs to be promised, and nobody waits
 */
export async function openRoom(tx: Transaction, teamId: string): Promise<Room | null> {
  if ((await readMaxima(tx, teamId)) === null) return null;
  await tx.execute(sql`select from teams where id = ${teamId} for no key update`);
  // Statements of their own: they have to see what those have taken that this one has waited for.
  const maxima = await readMaxima(tx, teamId);
  if (maxima === null) return null;
  let standing = await readStanding(tx, teamId, maxima);
  const take = (amount: Amount): UsageLimit | null => {
    const [limit = null] = passed(standing, amount);
    if (limit === null) standing = { ...standing, taken: plus(standing.taken, amount) };
    return limit;
  };
  return {
    take(amount) {
      const limit = take(amount);
      return limit && errorOf(limit, plus(standing.taken, amount), maxima[limit] ?? 0);
    },
    takeOrRefuse(amount) {
      assertNotReached(standing);
      const limit = take(amount);
      if (limit) throw exceeded(limit, plus(standing.taken, amount), maxima[limit] ?? 0);
    },
  };
}

const UNITS = { VIDEOS: 'videos', BYTES: 'bytes', SECONDS: 's' } as const;
const WORDS = { VIDEOS: 'videos', BYTES: 'bytes', SECONDS: 'seconds of video' } as const;

/** Why one file does not come in. */
function errorOf(limit: UsageLimit, amount: Amount, maximum: number): StoredError {
  const [would, may] = [Math.ceil(figure(limit, amount)), Math.ceil(maximum)];
  return {
    code: 'USAGE_LIMIT_EXCEEDED',
    message: `With this one the team would have more ${WORDS[limit]} than it may. Delete videos, or have the limit raised, and try it again.`,
    retryable: true,
    measured: `${would} ${UNITS[limit]}`,
    required: `${may} ${UNITS[limit]}`,
  };
}
