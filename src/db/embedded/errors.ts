/** Thrown when our own PostgreSQL cannot be started. Its message is one line that says what happened and where to look. */
export class DatabaseStartError extends Error {
  override readonly name = 'DatabaseStartError';
}
