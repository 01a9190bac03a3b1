import { and, eq, sql } from 'drizzle-orm';
import { z } from 'zod';
import type { Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { indexes } from '../db/tables/indexes.ts';
import { ANALYZERS } from '../db/tables/products.ts';
import { databaseNow } from '../db/tables/types.ts';
import { transaction } from '../db/transaction.ts';
import type { Services } from './deps.ts';
import { NotFoundError } from './errors.ts';
import { ownedBy } from './filters.ts';
import { notNull, parseInput, text } from './input-rules.ts';
import { fromPublicId } from './public-ids.ts';
import { changeRequirements, requirementsInput } from './requirements-input.ts';
import type { Viewer } from './viewer.ts';

/** Each once, in their order. */
const analyzers = z
  .array(z.enum(ANALYZERS))
  .transform((chosen) => ANALYZERS.filter((analyzer) => chosen.includes(analyzer)));

const createIndexInput = z.object({
  teamId: z.string().nullish(),
  name: text(1, 255),
  analyzers: analyzers.nullish(),
  requirements: requirementsInput.nullish(),
});

const updateIndexInput = z.object({
  id: z.string(),
  name: notNull(text(1, 255)).optional(),
  makeDefault: z.boolean(),
  analyzers: analyzers.nullish(),
  requirements: requirementsInput.nullish(),
});

/**
 * Makes an index; it is not the default one.
 * @param input as the API takes it, not checked yet
 * @returns the row id
 * @throws {InvalidInputError} with everything that is wrong
 * @throws {NotFoundError} when the team is none of the viewer's
 */
export async function createIndex(services: Services, viewer: Viewer, input: unknown): Promise<string> {
  const parsed = parseInput(createIndexInput, 'input', input);
  const { teamId: publicTeamId, name, requirements } = parsed;
  const teamId = publicTeamId == null ? viewer.defaultTeamId : fromPublicId('Team', publicTeamId);
  if (teamId === null || !viewer.teamIds.includes(teamId))
    throw new NotFoundError('team', ['input', 'teamId']);
  const id = uuidv7();
  await services.db.insert(indexes).values({
    id,
    teamId,
    name,
    analyzers: parsed.analyzers ?? [...ANALYZERS],
    requirements: changeRequirements({}, requirements ?? {}, services.requirements),
  });
  return id;
}

/**
 * Changes an index. Its rules hold for what is judged from now on; what is left out stays, null takes a rule away.
 * @param input as the API takes it, not checked yet
 * @returns the row id
 * @throws {InvalidInputError} with everything that is wrong
 * @throws {NotFoundError} when it is none of the viewer's
 */
export async function updateIndex(services: Services, viewer: Viewer, input: unknown): Promise<string> {
  const { id, name, makeDefault, analyzers, requirements } = parseInput(updateIndexInput, 'input', input);
  const where = ownedBy(viewer, 'Index', id);
  const found = where && (await services.db.query.indexes.findFirst({ where }));
  if (!found) throw new NotFoundError('index', ['input', 'id']);
  await transaction(services.db, async (tx) => {
    // Two that are made the default at once take turns.
    if (makeDefault) await tx.execute(sql`select from teams where id = ${found.teamId} for no key update`);
    const [row] = await tx.select().from(indexes).where(eq(indexes.id, found.id)).for('no key update');
    if (!row) throw new NotFoundError('index', ['input', 'id']);
    const rules = changeRequirements(row.requirements, requirements, services.requirements);
    if (makeDefault && !row.isDefault) await endDefault(tx, row.teamId);
    await tx
      .update(indexes)
      .set({
        ...(name === undefined ? {} : { name }),
        ...(analyzers === undefined ? {} : { analyzers: analyzers ?? [...ANALYZERS] }),
        requirements: rules,
        isDefault: row.isDefault || makeDefault,
        updatedAt: databaseNow,
      })
      .where(eq(indexes.id, row.id));
  });
  return found.id;
}

async function endDefault(tx: Transaction, teamId: string): Promise<void> {
  await tx
    .update(indexes)
    .set({ isDefault: false, updatedAt: databaseNow })
    .where(and(eq(indexes.teamId, teamId), eq(indexes.isDefault, true)));
}

/**
 * Keeps an index from being deleted until the transaction ends. To be called before anything else is locked.
 * @returns whether it is there
 */
export async function keepIndex(tx: Transaction, indexId: string | null): Promise<boolean> {
  const { rows } = await tx.execute(sql`select from indexes where id = ${indexId} for key share`);
  return rows.length > 0;
}
