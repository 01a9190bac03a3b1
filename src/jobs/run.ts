import type { Logger } from 'pino';
import type { JobHandler } from './handler.ts';
import type { ClaimedJob } from './job.ts';
import type { HeldLease } from './leases.ts';

interface RunOptions {
  readonly job: ClaimedJob;
  readonly handler: JobHandler<unknown>;
  readonly lease: HeldLease;
  /** The worker's log. */
  readonly log: Logger;
}

/** What a handler is given: made when it asks for it, which handlers that are done in no time do not. */
class Given {
  readonly #options: RunOptions;
  #log: Logger | undefined;

  constructor(options: RunOptions) {
    this.#options = options;
  }

  get signal(): AbortSignal {
    return this.#options.lease.signal;
  }

  get log(): Logger {
    const { job, log } = this.#options;
    this.#log ??= log.child({ job: job.id, kind: job.kind, subject: job.subjectId });
    return this.#log;
  }
}

/**
 * A job that this worker holds: it waits for a place, runs, or has ended and is being stored. A class, for there are
 * tens of thousands of them a second.
 */
export class Run {
  readonly job: ClaimedJob;
  readonly teamId: string;
  readonly handler: JobHandler<unknown>;
  readonly lease: HeldLease;
  readonly given: Given;

  constructor(options: RunOptions) {
    this.job = options.job;
    this.teamId = options.job.teamId;
    this.handler = options.handler;
    this.lease = options.lease;
    this.given = new Given(options);
  }

  get log(): Logger {
    return this.given.log;
  }
}
