import { createDatabase, type DatabaseClient, type DatabaseOptions } from './client.ts';
import { sqlState } from './sql-state.ts';

const PROTOCOL_VIOLATION = '08P01';

/**
 * Opens a pool whose statements Postgres ends after a time, where a session may have such a limit: a proxy that pools by
 * transaction has no sessions and refuses it (PgBouncer unless `ignore_startup_parameters` names it). Then there is none,
 * and a line in the log.
 * @throws what the first connection throws
 */
export async function createLimitedDatabase(
  options: DatabaseOptions & { readonly statementTimeoutMs: number },
): Promise<DatabaseClient> {
  const limited = createDatabase(options);
  try {
    await limited.pool.query('select 1');
    return limited;
  } catch (error) {
    await limited.close();
    if (sqlState(error) !== PROTOCOL_VIOLATION) throw error;
    const { statementTimeoutMs, ...others } = options;
    options.log.warn(
      { err: error },
      'a proxy before the database refuses a limit to the time of statements: there is none. Set statement_timeout for the user in the database instead',
    );
    return createDatabase({ ...others, answerTimeoutMs: statementTimeoutMs });
  }
}
