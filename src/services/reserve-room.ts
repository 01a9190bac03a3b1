import { sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { isObject } from './entry.ts';
import type { Decision } from './judge-entries.ts';
import { type Amount, amountOf, openRoom } from './usage.ts';

/** What accepted entries were promised of their team's limits, by ordinal; empty for a team without limits. */
export type Reserved = ReadonlyMap<number, Amount>;

/**
 * Shares what the team has room for out to accepted entries, in their order; those that it has no room for are rejected.
 * @param given.videoIds what the pairs name, locked or made before
 */
export async function reserveRoom(
  tx: Transaction,
  { teamId }: { readonly teamId: string },
  given: { readonly decisions: readonly Decision[]; readonly videoIds: ReadonlyMap<string, string> },
): Promise<{ readonly decisions: readonly Decision[]; readonly reserved: Reserved }> {
  const { decisions, videoIds } = given;
  const reserved = new Map<number, Amount>();
  const room = decisions.some(({ verdict }) => verdict.kind === 'ACCEPTED')
    ? await openRoom(tx, teamId)
    : null;
  if (room === null) return { decisions, reserved };
  const there = await existing(tx, [...videoIds.values()]);
  const inOrder = decisions.toSorted((a, b) => a.ordinal - b.ordinal);
  const judged = inOrder.map((decision): Decision => {
    const { verdict, input, ordinal } = decision;
    if (verdict.kind !== 'ACCEPTED') return decision;
    const isThere = !isObject(input) && there.has(videoIds.get(input.externalId) ?? '');
    const amount = amountOf(verdict.metadata, { videos: isThere ? 0 : 1, size: verdict.size });
    const error = room.take(amount);
    if (error !== null) return { ...decision, verdict: { kind: 'REJECTED', error } };
    reserved.set(ordinal, amount);
    return decision;
  });
  return { decisions: judged, reserved };
}

/** Those of the videos that are there: bringing one in anew makes no further one. */
export async function existing(tx: Transaction, videoIds: readonly string[]): Promise<ReadonlySet<string>> {
  if (videoIds.length === 0) return new Set();
  const { rows } = await tx.execute<{ id: string }>(sql`
    select id from videos where id = any(${sql.param([...videoIds])}::uuid[])`);
  return new Set(rows.map(({ id }) => id));
}
