import { SourceError } from '../sources/errors.ts';
import { ForbiddenFolderError } from '../sources/folder-errors.ts';
import type { S3Credentials } from '../sources/s3.ts';
import { untilAborted } from '../sources/until-aborted.ts';
import { InvalidInputError, SourceUnavailableError } from './errors.ts';
import { listingFault } from './import-fault.ts';
import type { IntegrationLocation, IntegrationSources } from './integration-sources.ts';
import { limitTime } from './time-limit.ts';

/** How long a source may take to answer when it is set up. */
export const CHECK_SECONDS = 15;

/**
 * Sees whether a source can be listed, before anything of it is stored.
 * @returns the location as it is to be stored: of a folder its real path
 * @throws {InvalidInputError} FORBIDDEN_FOLDER for a folder that the operator has not allowed, whatever is there
 * @throws {SourceUnavailableError} when it cannot be listed
 */
export async function checkLocation(
  sources: IntegrationSources,
  location: IntegrationLocation,
  credentials: S3Credentials | null,
): Promise<IntegrationLocation> {
  const limit = limitTime(new AbortController().signal, CHECK_SECONDS * 1000);
  try {
    const { signal } = limit;
    return await untilAborted(check(sources, { location, credentials, signal }), signal);
  } catch (error) {
    if (limit.isOver()) throw tooSlow();
    throw toClientError(error);
  } finally {
    limit.end();
  }
}

interface Checked {
  readonly location: IntegrationLocation;
  readonly credentials: S3Credentials | null;
  readonly signal: AbortSignal;
}

async function check(
  sources: IntegrationSources,
  { location: given, credentials, signal }: Checked,
): Promise<IntegrationLocation> {
  const path = given.folder && (await sources.resolveFolder(given.folder.path));
  const location = { s3: given.s3, folder: path === null ? null : { path } };
  const source = sources.open(location, credentials);
  try {
    await source.check(signal);
  } finally {
    source.close();
  }
  return location;
}

const tooSlow = () =>
  new SourceUnavailableError(
    'SOURCE_UNAVAILABLE',
    `The source did not answer within ${CHECK_SECONDS} seconds. See whether this server can reach it, and try again.`,
  );

function toClientError(error: unknown): unknown {
  if (error instanceof ForbiddenFolderError) {
    return new InvalidInputError([
      {
        path: ['input', 'location', 'folder', 'path'],
        code: 'FORBIDDEN_FOLDER',
        message:
          'must be at or below a folder that the operator of this server has allowed. Name another one, or ask the operator to allow it.',
      },
    ]);
  }
  if (!(error instanceof SourceError)) return error;
  const { code, message } = listingFault(error);
  return new SourceUnavailableError(code, message);
}
