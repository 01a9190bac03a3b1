/**
 * The SQLSTATE of an error that came from Postgres, however deep a library wrapped it.
 *
 * @returns five characters such as `23505` (PostgreSQL manual, appendix A), or undefined for any other error
 */
export function sqlState(error: unknown): string | undefined {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 8; cause = cause.cause, depth += 1) {
    if ('code' in cause && typeof cause.code === 'string' && /^[0-9A-Z]{5}$/.test(cause.code))
      return cause.code;
  }
  return undefined;
}

/** The innermost cause of an error: what the driver or the system said, without what libraries put around it. */
export function rootCause(error: unknown): unknown {
  let cause = error;
  for (let depth = 0; depth < 8 && cause instanceof Error && cause.cause instanceof Error; depth += 1) {
    cause = cause.cause;
  }
  return cause;
}
