import type { Rows } from '../support/rows.ts';

/**
 * Keeps transfers that are queued from now on for an hour, so that their tasks are seen before anybody takes them.
 * @returns lets them go, and all later ones
 */
export async function delayTransfers(rows: Rows): Promise<() => Promise<void>> {
  await rows.all(`create function delay_job() returns trigger language plpgsql as
                  $$ begin new.run_at := now() + interval '1 hour'; return new; end $$`);
  await rows.all(`create trigger delay_job before insert on jobs for each row
                  when (new.kind = 'transfer-video') execute function delay_job()`);
  return async () => {
    await rows.all('drop function if exists delay_job cascade');
    await rows.all(
      `update jobs set run_at = now() where kind = 'transfer-video' and run_at > now() + interval '30 minutes'`,
    );
  };
}
