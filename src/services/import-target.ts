import type { Database } from '../db/client.ts';
import type { indexes } from '../db/tables/indexes.ts';
import type { integrations } from '../db/tables/integrations.ts';
import { NotFoundError } from './errors.ts';
import { ownedBy, teamOf } from './filters.ts';
import { fromPublicId, toPublicId } from './public-ids.ts';
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
  const named = teamOf(viewer, asked.teamId);
  if (named === null) throw new NotFoundError('team', ['input', 'teamId']);
  const integration = asked.integration ? await findIntegration(db, viewer, asked.integration) : null;
  const indexId = asked.indexId ?? indexOfToken(viewer);
  const given = indexId === null ? null : await findIndex(db, viewer, indexId);
  const uploads = await findUploads(db, viewer, asked.uploads ?? []);
  const [upload] = uploads.values();
  const inferred = given?.teamId ?? integration?.teamId ?? upload?.teamId;
  const teamId = asked.teamId == null ? (inferred ?? named) : named;
  if (given !== null && given.teamId !== teamId) throw new NotFoundError('index', ['input', 'indexId']);
  if (asked.integration && integration?.teamId !== teamId)
    throw new NotFoundError('integration', asked.integration.path);
  for (const { teamId: owner, path } of uploads.values())
    if (owner !== teamId) throw new NotFoundError('upload', path);
  return { teamId, index: given ?? (await findDefaultIndex(db, teamId)), integration, uploads };
}

/** An upload token is for one index. */
const indexOfToken = ({ uploadToken }: Viewer) =>
  uploadToken === undefined ? null : toPublicId('Index', uploadToken.indexId);

async function findIndex(db: Database, viewer: Viewer, publicId: string): Promise<IndexRow> {
  const { uploadToken } = viewer;
  const id = fromPublicId('Index', publicId);
  const isOwn = id !== null && (uploadToken === undefined || uploadToken.indexId === id);
  const where = isOwn ? { id, teamId: { in: [...viewer.teamIds] } } : null;
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
