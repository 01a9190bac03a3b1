/** The crash that ends a job. */
export const MAX_CRASHES = 3;
