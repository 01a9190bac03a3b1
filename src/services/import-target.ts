import type { Database } from '../db/client.ts';
import type { indexes } from '../db/tables/indexes.ts';
import type { integrations } from '../db/tables/integrations.ts';
import { NotFoundError } from './errors.ts';
import { ownedBy, teamOf } from './filters.ts';
import type { Viewer } from './viewer.ts';

export type IntegrationRow = typeof integrations.$inferSelect;
export type IndexRow = typeof indexes.$inferSelect;

/** Where videos are to go, and the integration that they come from. */
export interface Target {
  readonly teamId: string;
  readonly index: IndexRow;
  readonly integration: IntegrationRow | null;
}

interface Asked {
  readonly teamId?: string | null | undefined;
  readonly indexId?: string | null | undefined;
  /** With the path to it in the input. */
  readonly integration?: { readonly id: string; readonly path: readonly string[] } | null;
}

/**
 * Finds what the ids of an input name: all within one team, which is the one named, else that of the index or integration
 * named, else the key's default team.
 * @throws {NotFoundError} when one of them names nothing that the viewer reaches, or they are of different teams
 */
export async function findTarget(db: Database, viewer: Viewer, asked: Asked): Promise<Target> {
  const named = teamOf(viewer, asked.teamId);
  if (named === null) throw new NotFoundError('team', ['input', 'teamId']);
  const integration = asked.integration ? await findIntegration(db, viewer, asked.integration) : null;
  const given = asked.indexId == null ? null : await findIndex(db, viewer, asked.indexId);
  const teamId = asked.teamId == null ? (given?.teamId ?? integration?.teamId ?? named) : named;
  if (given !== null && given.teamId !== teamId) throw new NotFoundError('index', ['input', 'indexId']);
  if (asked.integration && integration?.teamId !== teamId)
    throw new NotFoundError('integration', asked.integration.path);
  return { teamId, index: given ?? (await findDefaultIndex(db, teamId)), integration };
}

async function findIndex(db: Database, viewer: Viewer, publicId: string): Promise<IndexRow> {
  const where = ownedBy(viewer, 'Index', publicId);
  const row = where && (await db.query.indexes.findFirst({ where }));
  if (!row) throw new NotFoundError('index', ['input', 'indexId']);
  return row;
}

async function findIntegration(
  db: Database,
  viewer: Viewer,
  asked: NonNullable<Asked['integration']>,
): Promise<IntegrationRow> {
  const where = ownedBy(viewer, 'Integration', asked.id);
  const row = where && (await db.query.integrations.findFirst({ where }));
  if (!row) throw new NotFoundError('integration', asked.path);
  return row;
}

async function findDefaultIndex(db: Database, teamId: string): Promise<IndexRow> {
  const row = await db.query.indexes.findFirst({ where: { teamId, isDefault: true } });
  if (!row) throw new Error('a team has no default index');
  return row;
}
