import { isDeepStrictEqual } from 'node:util';
import { eq } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { integrations } from '../db/tables/integrations.ts';
import { databaseNow } from '../db/tables/types.ts';
import { transaction } from '../db/transaction.ts';
import type { S3Credentials } from '../sources/s3.ts';
import { checkLocation } from './check-location.ts';
import type { Services } from './deps.ts';
import { ImportAlreadyRunningError, InvalidInputError, NotFoundError } from './errors.ts';
import { ownedBy, teamOf } from './filters.ts';
import { openCredentials, sealCredentials } from './integration-credentials.ts';
import { type GivenLocation, parseCreateIntegration, parseUpdateIntegration } from './integration-input.ts';
import type { IntegrationLocation } from './integration-sources.ts';
import type { Viewer } from './viewer.ts';

type IntegrationRow = typeof integrations.$inferSelect;

/**
 * Sets a source up: tests it, then stores it with its credentials encrypted.
 * @param input as the API takes it, not checked yet
 * @returns the row id
 * @throws {InvalidInputError} with everything that is wrong, also a folder that is not allowed
 * @throws {NotFoundError} when the team is none of the viewer's
 * @throws {SourceUnavailableError} when it cannot be listed; nothing is stored
 */
export async function createIntegration(services: Services, viewer: Viewer, input: unknown): Promise<string> {
  const { teamId: publicTeamId, name, location: given } = parseCreateIntegration(input);
  const teamId = teamOf(viewer, publicTeamId);
  if (teamId === null) throw new NotFoundError('team', ['input', 'teamId']);
  const credentials = given.credentials ?? null;
  const location = await checkLocation(services.integrationSources, given, credentials);
  const row = { id: uuidv7(), teamId };
  await services.db.insert(integrations).values({
    ...row,
    name,
    kind: location.s3 === null ? 'FOLDER' : 'S3',
    ...toColumns(services, row, { location, credentials }),
  });
  return row.id;
}

/**
 * Changes an integration's name, or where it points: a new location is tested first. Stored credentials stay while the
 * endpoint and the bucket do, unless others are given or null clears them.
 * @param input as the API takes it, not checked yet
 * @returns the row id
 * @throws {InvalidInputError} with everything that is wrong, also another kind of location
 * @throws {NotFoundError} when it is none of the viewer's
 * @throws {SourceUnavailableError} when the new location cannot be listed; nothing is changed
 * @throws {ImportAlreadyRunningError} when an unfinished import uses the location that would change; new
 * credentials alone do not change it
 */
export async function updateIntegration(services: Services, viewer: Viewer, input: unknown): Promise<string> {
  const { id, name, location: given } = parseUpdateIntegration(input);
  // Somebody else may change it while the new location is tested: then what was tested is tested anew.
  for (;;) {
    const row = await findIntegration(services, viewer, { id, path: ['input', 'id'] });
    const change = given === undefined ? null : await preparePlace(services, row, given);
    if (await storeChange(services, row, { name, change })) return row.id;
  }
}

/** @returns false when the row is not the one that was read any more, and nothing was changed */
async function storeChange(
  services: Services,
  row: IntegrationRow,
  { name, change }: { readonly name: string | undefined; readonly change: Place | null },
): Promise<boolean> {
  return await transaction(services.db, async (tx) => {
    const { location, importId, updatedAt, credentials } = await lock(tx, row.id, ['input', 'id']);
    const isSame = updatedAt.getTime() === row.updatedAt.getTime() && credentials === row.credentials;
    if (change !== null && !isSame) return false;
    if (change !== null && importId !== null && !isDeepStrictEqual(change.location, location))
      throw new ImportAlreadyRunningError(importId);
    await tx
      .update(integrations)
      .set({
        ...(name === undefined ? {} : { name }),
        ...(change === null ? {} : toColumns(services, row, change)),
        updatedAt: databaseNow,
      })
      .where(eq(integrations.id, row.id));
    return true;
  });
}

/**
 * Deletes an integration; imports and tasks that came from it stay.
 * @throws {NotFoundError} when it is none of the viewer's
 * @throws {ImportAlreadyRunningError} when an unfinished import uses it
 */
export async function deleteIntegration(services: Services, viewer: Viewer, id: string): Promise<void> {
  const row = await findIntegration(services, viewer, { id, path: ['id'] });
  await transaction(services.db, async (tx) => {
    const { importId } = await lock(tx, row.id, ['id']);
    if (importId !== null) throw new ImportAlreadyRunningError(importId);
    await tx.delete(integrations).where(eq(integrations.id, row.id));
  });
}

async function findIntegration(
  services: Services,
  viewer: Viewer,
  { id, path }: { readonly id: string; readonly path: readonly string[] },
): Promise<IntegrationRow> {
  const where = ownedBy(viewer, 'Integration', id);
  const row = where && (await services.db.query.integrations.findFirst({ where }));
  if (!row) throw new NotFoundError('integration', path);
  return row;
}

interface Locked {
  readonly location: IntegrationLocation;
  readonly updatedAt: Date;
  readonly credentials: string | null;
  /** An unfinished import of it, one of the whole integration first. */
  readonly importId: string | null;
}

/** Keeps new imports from starting until the transaction is over: startImport takes a share of this lock. */
async function lock(tx: Transaction, id: string, path: readonly string[]): Promise<Locked> {
  const { s3, folder, updatedAt, credentials } = integrations;
  const [row] = await tx
    .select({ s3, folder, updatedAt, credentials })
    .from(integrations)
    .where(eq(integrations.id, id))
    .for('update');
  if (row === undefined) throw new NotFoundError('integration', path);
  // A statement of its own, after the lock: it has to see what was committed while waiting for it.
  const running = await tx.query.imports.findFirst({
    columns: { id: true },
    where: { integrationId: id, ...UNFINISHED_IMPORT.where },
    orderBy: UNFINISHED_IMPORT.orderBy,
  });
  const location = { s3: row.s3, folder: row.folder };
  return { ...row, location, importId: running?.id ?? null };
}

/** An integration's unfinished imports; the one of the whole comes first, for INTEGRATION sorts before OBJECTS. */
export const UNFINISHED_IMPORT = {
  where: { finishedAt: { isNull: true } },
  orderBy: { source: 'asc', createdAt: 'asc', id: 'asc' },
} as const;

interface Place {
  readonly location: IntegrationLocation;
  readonly credentials: S3Credentials | null;
}

async function preparePlace(services: Services, row: IntegrationRow, given: GivenLocation): Promise<Place> {
  if ((given.s3 === null) !== (row.s3 === null)) throw otherKind(row);
  const credentials =
    given.credentials === undefined ? keptCredentials(services, row, given) : given.credentials;
  return {
    location: await checkLocation(services.integrationSources, given, credentials),
    credentials,
  };
}

/** Another endpoint or bucket must not be handed what was given for this one. */
function keptCredentials(
  services: Services,
  row: IntegrationRow,
  { s3 }: GivenLocation,
): S3Credentials | null {
  const isSamePlace = s3?.endpoint === row.s3?.endpoint && s3?.bucket === row.s3?.bucket;
  return isSamePlace && row.credentials !== null
    ? openCredentials(services.secrets, row, row.credentials)
    : null;
}

function otherKind(row: IntegrationRow): InvalidInputError {
  const [kind, field] = row.s3 === null ? ['a folder', 's3'] : ['an S3 bucket', 'folder'];
  const message = `is of another kind: this integration is ${kind}, and stays one. Create another integration for the other source.`;
  return new InvalidInputError([{ path: ['input', 'location', field], code: 'INVALID', message }]);
}

type Columns = Pick<IntegrationRow, 's3' | 'folder' | 'credentials' | 'accessKeyHint'>;

function toColumns(
  { secrets }: Services,
  row: Pick<IntegrationRow, 'id' | 'teamId'>,
  { location, credentials }: Place,
): Columns {
  return {
    s3: location.s3,
    folder: location.folder,
    credentials: credentials && sealCredentials(secrets, row, credentials),
    accessKeyHint: credentials?.accessKeyId.slice(-3) ?? null,
  };
}

/** Where an integration points, for people: `s3://bucket/prefix`, `file:///folder`. */
export function describeLocation({ s3, folder }: IntegrationLocation): string {
  return s3 === null
    ? `file://${folder?.path ?? ''}`
    : `s3://${[s3.bucket, s3.prefix ?? []].flat().join('/')}`;
}
