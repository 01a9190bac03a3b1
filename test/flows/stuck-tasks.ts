import type { Rows } from '../support/rows.ts';

/** The statuses that a task can be kept in. */
export const OPEN_STATUSES = ['PENDING', 'UPLOADING', 'VALIDATING', 'QUEUED', 'INDEXING'] as const;
export type OpenStatus = (typeof OPEN_STATUSES)[number];

/** The name of a video whose task stays in a status when it comes to it. */
export const stuckIn = (status: OpenStatus): string => `Stuck ${status}`;

/**
 * Makes a database keep tasks in the status that their name tells: whoever waits for a job of theirs waits for long, and a
 * job that runs belongs to a worker of nobody's, as if its own had been frozen and presumed dead.
 * @returns lets those go on that come to such a status from then on
 */
export async function keepStuckTasks(rows: Rows): Promise<() => Promise<void>> {
  await rows.all(`create function stick() returns trigger language plpgsql as $$
    begin
      if new.status in ('PENDING', 'QUEUED') then
        update jobs set run_at = now() + interval '1 hour' where subject_id = new.id;
      else
        update jobs set owner = gen_random_uuid(), lease_until = now() + interval '1 hour' where subject_id = new.id;
      end if;
      return null;
    end $$`);
  // Deferred: the job is made, or asserted, after the task is moved.
  await rows.all(`create constraint trigger stick after insert or update on tasks deferrable initially deferred for each row
                  when (new.name = 'Stuck ' || new.status) execute function stick()`);
  return async () => {
    await rows.all('drop trigger stick on tasks');
    await rows.all('drop function stick');
  };
}
