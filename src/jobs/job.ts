/** A job as the process holds it that has claimed it. */
export interface ClaimedJob {
  readonly id: string;
  readonly kind: string;
  /** What the job is about. */
  readonly subjectId: string;
  readonly teamId: string;
  /** As stored; a handler's `run` gets it parsed. */
  readonly payload: unknown;
  readonly priority: number;
  /** Number of this acquisition in decimal: no two acquisitions of any job ever have the same. */
  readonly claim: string;
  /** How often the job was claimed, this time included. */
  readonly claims: number;
  /** Transient failures so far. */
  readonly failures: number;
  /** Deaths of the process that served the job, so far. */
  readonly crashes: number;
  /** How often a worker that held the job stopped answering. */
  readonly lostLeases: number;
  readonly owner: string;
  /**
   * Set by `finishJob`: the handler has ended the job in a transaction of its own, and nothing is left to
   * acknowledge. Should that transaction not have been committed, then the lease runs out and the job comes back.
   */
  finished: boolean;
}

/** A claimed job whose payload has been parsed by its definition. */
export interface Job<P> extends ClaimedJob {
  readonly payload: P;
}

/** What fences a write: it goes through only while this acquisition is the current one. */
export type ClaimToken = Pick<ClaimedJob, 'id' | 'claim' | 'owner'>;
