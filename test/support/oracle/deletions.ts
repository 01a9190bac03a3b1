import pg from 'pg';
import { waitFor } from '../wait.ts';

/**
 * How long whoever has lost a claim may go on writing before it notices, in seconds: some beats of the leases that tests have.
 * Deletions wait for that, as they wait for longer in earnest.
 */
const NOTICE_SECONDS = 5;

/**
 * Has everything deleted soon that is to be deleted at some time, and waits for the end of it. A worker must be running.
 */
export async function finishDeletions(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await waitFor(
      async () => {
        await client.query(
          `update jobs set run_at = now()
            where kind = 'delete-objects' and owner is null and run_at > now()
              and created_at < now() - $1::float8 * interval '1 second'`,
          [NOTICE_SECONDS],
        );
        const { rowCount } = await client.query(`select from jobs where kind = 'delete-objects'`);
        return rowCount === 0;
      },
      { what: 'the end of all deletions', timeout: 60_000 },
    );
  } finally {
    await client.end();
  }
}
