/** The crash that ends a job. */
export const MAX_CRASHES = 3;

/**
 * Up to this claim of a job it costs nothing that the database went away under it, however often that happens; from
 * then on it costs a failure: the job may be what brings the database down.
 */
export const MAX_FREE_CLAIMS = 20;

/** What may be hostile comes after everything else of its team, also after what is retried by hand: it cost a process already. */
export const SUSPECT_PRIORITY = 20;
