import type { Logger } from 'pino';
import type { Dispatcher } from 'undici';
import type { integrations, StoredFolderLocation, StoredS3Location } from '../db/tables/integrations.ts';
import { createFolderSource, resolveFolder } from '../sources/folder.ts';
import { createS3Source, type S3Credentials } from '../sources/s3.ts';
import type { ObjectSource } from '../sources/source.ts';
import { openCredentials } from './integration-credentials.ts';
import type { SecretBox } from './secret-box.ts';

type IntegrationRow = typeof integrations.$inferSelect;

/** Where an integration points: one of the two. */
export interface IntegrationLocation {
  readonly s3: StoredS3Location | null;
  readonly folder: StoredFolderLocation | null;
}

/** An opened source that its opener closes. */
export type ClosableSource = ObjectSource & { close(): void };

/** Opens the sources behind integrations. */
export interface IntegrationSources {
  /**
   * The source of an integration; the same one while its row points to the same place with the same credentials.
   * @throws {SecretBoxError} when its credentials cannot be decrypted
   */
  of(row: IntegrationRow): ObjectSource;
  /** A source that is stored nowhere, to test it. @param credentials of a bucket; null: none */
  open(location: IntegrationLocation, credentials: S3Credentials | null): ClosableSource;
  /**
   * The real path of a folder that may be read.
   * @throws {ForbiddenFolderError} when it is not below one that the operator has allowed
   * @throws {SourceError} when it is not there, or cannot be read
   */
  resolveFolder(path: string): Promise<string>;
  /** Closes everything that `of` has opened. */
  close(): void;
}

interface Options {
  /** The guarded way out: connects to public and allowed addresses only. */
  readonly agent: Dispatcher;
  /** Absolute paths that folders may lie at or below. */
  readonly allowFolders: readonly string[];
  /** Whether buckets of AWS without credentials are read with those of the server. */
  readonly defaultCredentials: boolean;
  readonly secrets: SecretBox;
  readonly log: Logger;
}

/** How many sources are kept open; the one that was used longest ago goes first. */
const MAX_OPEN = 200;

interface Open {
  /** What it was opened with: a changed row is opened anew. */
  readonly opened: string;
  readonly source: ClosableSource;
}

/** Opens sources as rows ask for them, and keeps them for the next time. */
export function createIntegrationSources(options: Options): IntegrationSources {
  const kept = new Map<string, Open>();
  const drop = (id: string) => {
    kept.get(id)?.source.close();
    kept.delete(id);
  };
  return {
    of(row) {
      const opened = JSON.stringify([row.s3, row.folder, row.credentials]);
      const known = kept.get(row.id);
      const source = known?.opened === opened ? known.source : openStored(options, row);
      if (source !== known?.source) drop(row.id);
      // Deleted first: the order of the map is that of the last use.
      kept.delete(row.id);
      kept.set(row.id, { opened, source });
      for (const id of kept.keys()) if (kept.size > MAX_OPEN) drop(id);
      return source;
    },
    open: (location, credentials) => open(options, location, credentials),
    resolveFolder: (path) => resolveFolder(path, options.allowFolders),
    close() {
      for (const id of [...kept.keys()]) drop(id);
    },
  };
}

const openStored = (options: Options, row: IntegrationRow): ClosableSource =>
  open(
    options,
    row,
    row.credentials === null ? null : openCredentials(options.secrets, row, row.credentials),
  );

function open(
  options: Options,
  { s3, folder }: IntegrationLocation,
  credentials: S3Credentials | null,
): ClosableSource {
  if (s3 !== null) {
    return createS3Source({
      location: s3,
      credentials: credentials ?? credentialsOfNone(options, s3),
      agent: options.agent,
      log: options.log,
    });
  }
  if (folder === null) throw new Error('an integration points nowhere');
  const source = createFolderSource({ path: folder.path, allowed: options.allowFolders });
  return Object.assign(source, { close: () => {} });
}

/** The server's own credentials go to AWS only: an endpoint is chosen by whoever sets the integration up. */
const credentialsOfNone = ({ defaultCredentials }: Options, { endpoint }: StoredS3Location) =>
  defaultCredentials && endpoint === undefined ? 'DEFAULT' : 'ANONYMOUS';
