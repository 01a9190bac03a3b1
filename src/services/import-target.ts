import type { Database } from '../db/client.ts';
import type { indexes } from '../db/tables/indexes.ts';
import type { integrations } from '../db/tables/integrations.ts';
import { NotFoundError } from './errors.ts';
import { fromPublicId } from './public-ids.ts';
import { type FoundUploads, findUploads, type NamedUpload } from './use-uploads.ts';
import type { Viewer } from './viewer.ts';

export type IntegrationRow = typeof integrations.$inferSelect;
export type IndexRow = typeof indexes.$inferSelect;

/** Where videos are to go, and the integration that they come from. */
export interface Target {
  readonly teamId: string;
  readonly index: IndexRow;
  readonly integration: IntegrationRow | null;
  /** The uploads that were named. */
  readonly uploads: FoundUploads;
}

interface Asked {
  readonly teamId?: string | null | undefined;
  readonly indexId?: string | null | undefined;
  /** With the path to it in the input. */
  readonly integration?: { readonly id: string; readonly path: readonly string[] } | null;
  readonly uploads?: readonly NamedUpload[];
}

/**
 * Finds what the ids of an input name: all within one team, which is the one named, else that of the index, integration or
 * upload named, else the key's default team.
 * @throws {NotFoundError} when one of them names nothing that the viewer reaches, or they are of different teams
 * @throws {InvalidInputError} when an upload is named twice
 */
export async function findTarget(db: Database, viewer: Viewer, asked: Asked): Promise<Target> {
  const named = asked.teamId == null ? null : fromPublicId('Team', asked.teamId);
  if (asked.teamId != null && (named === null || !viewer.teamIds.includes(named)))
    throw new NotFoundError('team', ['input', 'teamId']);
  const integration = asked.integration ? await findIntegration(db, viewer, asked.integration) : null;
  const given = asked.indexId == null ? null : await findIndex(db, viewer, asked.indexId);
  const uploads = await findUploads(db, viewer, asked.uploads ?? []);
  const [upload] = uploads.values();
  const teamId = named ?? given?.teamId ?? integration?.teamId ?? upload?.teamId ?? viewer.defaultTeamId;
  if (given !== null && given.teamId !== teamId) throw new NotFoundError('index', ['input', 'indexId']);
  if (asked.integration && integration?.teamId !== teamId)
    throw new NotFoundError('integration', asked.integration.path);
  for (const { teamId: owner, path } of uploads.values())
    if (owner !== teamId) throw new NotFoundError('upload', path);
  return { teamId, index: given ?? (await findDefaultIndex(db, teamId)), integration, uploads };
}

async function findIndex(db: Database, viewer: Viewer, publicId: string): Promise<IndexRow> {
  const id = fromPublicId('Index', publicId);
  const row =
    id === null
      ? undefined
      : await db.query.indexes.findFirst({ where: { id, teamId: { in: [...viewer.teamIds] } } });
  if (!row) throw new NotFoundError('index', ['input', 'indexId']);
  return row;
}

async function findIntegration(
  db: Database,
  viewer: Viewer,
  asked: NonNullable<Asked['integration']>,
): Promise<IntegrationRow> {
  const id = fromPublicId('Integration', asked.id);
  const row =
    id === null
      ? undefined
      : await db.query.integrations.findFirst({ where: { id, teamId: { in: [...viewer.teamIds] } } });
  if (!row) throw new NotFoundError('integration', asked.path);
  return row;
}

async function findDefaultIndex(db: Database, teamId: string): Promise<IndexRow> {
  const row = await db.query.indexes.findFirst({ where: { teamId, isDefault: true } });
  if (!row) throw new Error('a team has no default index');
  return row;
}
