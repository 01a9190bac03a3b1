import type { Logger } from 'pino';
import type { Database } from '../db/client.ts';
import type { StoredError } from '../db/tables/tasks.ts';
import type { StoredSystemMetadata } from '../db/tables/videos.ts';
import type { Changes } from '../events/changes.ts';
import type { ClaimToken } from '../jobs/job.ts';
import type { JobSignal } from '../jobs/queue.ts';
import type { Poster } from '../sources/guarded-post.ts';
import type { ProbedFile, SourceFile } from '../sources/source.ts';
import type { Storage } from '../storage/adapter.ts';
import type { IntegrationSources } from './integration-sources.ts';
import type { OriginLimit } from './origin-limit.ts';
import type { Requirements } from './requirements.ts';
import type { SecretBox } from './secret-box.ts';

/** What a look at a remote file told, before any transfer. */
export type Probe =
  /** Its header says all that the rules ask for, and they hold. */
  | {
      readonly kind: 'FITS';
      readonly version: string | null;
      readonly size: number | null;
      readonly metadata: StoredSystemMetadata;
    }
  /** The version is the one asked about: nothing more was read. */
  | { readonly kind: 'UNCHANGED'; readonly version: string; readonly size: number | null }
  /** What the header did not tell is judged after the transfer; so is whatever may pass. */
  | { readonly kind: 'UNDECIDED'; readonly version: string | null; readonly size: number | null }
  /** It will not come in, and trying again would not change that. */
  | { readonly kind: 'UNFIT'; readonly error: StoredError };

/** What planning asks of files before any transfer. */
export interface Prober {
  /** Looks at a file by range requests. Rejects only when its signal is aborted. */
  look(
    file: ProbedFile,
    options: {
      readonly knownVersion: string | null;
      readonly requirements: Requirements;
      readonly signal: AbortSignal;
    },
  ): Promise<Probe>;
  /** What a size alone, in bytes, tells of a file: why it is unfit, or null. */
  judgeSize(size: number, requirements: Requirements): StoredError | null;
}

/** A job's lease, kept by this process until `end`; its signal is aborted when the claim turns out to be over. */
export interface KeptLease {
  readonly signal: AbortSignal;
  end(): void;
}

/** What the use-cases work with; built once, in app.ts. */
export interface Services {
  readonly db: Database;
  readonly changes: Changes;
  readonly jobs: JobSignal;
  readonly prober: Prober;
  /** The file behind a URL that was checked before. */
  readonly urlFile: (url: string) => SourceFile;
  /** Sends webhooks. */
  readonly poster: Poster;
  readonly integrationSources: IntegrationSources;
  /** Where bytes are kept. */
  readonly storage: Storage;
  /** Encrypts what is stored and must not be read from the database alone. */
  readonly secrets: SecretBox;
  /** How many looks at once, over all imports that this process plans. */
  readonly originLimit: OriginLimit;
  readonly requirements: Requirements;
  readonly log: Logger;
  /** This process, as an owner of jobs: a UUID made at its start. */
  readonly owner: string;
  /** Keeps the lease of a job that this process runs outside the worker's loop. */
  readonly keepLease: (job: ClaimToken) => KeptLease;
  /** What an upload may have at most, in bytes. */
  readonly uploadMaxBytes: number;
  readonly planSeconds: number;
  readonly leaseSeconds: number;
  /** How long media URLs hold. */
  readonly mediaUrlSeconds: number;
}
