import type { Logger } from 'pino';
import type { Database } from '../db/client.ts';
import type { StoredError } from '../db/tables/tasks.ts';
import type { StoredSystemMetadata } from '../db/tables/videos.ts';
import type { Changes } from '../events/changes.ts';
import type { ClaimToken } from '../jobs/job.ts';
import type { JobSignal } from '../jobs/queue.ts';
import type { OriginLimit } from './origin-limit.ts';
import type { Requirements } from './requirements.ts';

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

/** Looks at a remote file by range requests. Rejects only when its signal is aborted. */
export type Prober = (
  url: string,
  options: {
    readonly knownVersion: string | null;
    readonly requirements: Requirements;
    readonly signal: AbortSignal;
  },
) => Promise<Probe>;

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
  /** How many looks at once, over all imports that this process plans. */
  readonly originLimit: OriginLimit;
  readonly requirements: Requirements;
  readonly log: Logger;
  /** This process, as an owner of jobs: a UUID made at its start. */
  readonly owner: string;
  /** Keeps the lease of a job that this process runs outside the worker's loop. */
  readonly keepLease: (job: ClaimToken) => KeptLease;
  readonly planSeconds: number;
  readonly leaseSeconds: number;
  /** How long media URLs hold. */
  readonly mediaUrlSeconds: number;
}
