/** A job that lost its lease this often may be what kills its workers: it runs alone. In jobs.ts's indexes too. */
export const SUSPECT_AFTER_LOST_LEASES = 3;

/** The crash that ends a job. */
export const MAX_CRASHES = 3;
