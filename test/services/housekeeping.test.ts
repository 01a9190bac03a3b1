import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Services } from '../../src/services/deps.ts';
import { createHousekeeping, type Housekeeping } from '../../src/services/housekeeping.ts';
import { log, openQueue, type Queue } from '../jobs/support.ts';
import { insertTeam, openRows, type Rows } from '../support/rows.ts';
import { waitFor } from '../support/wait.ts';

let queue: Queue;
let rows: Rows;
let housekeeping: Housekeeping;

beforeEach(async () => {
  queue = await openQueue();
  rows = await openRows(queue.url);
  // What housekeeping needs of them.
  const services = {
    db: queue.db,
    log,
    jobs: { wake() {} },
    changes: { announce() {} },
  } as unknown as Services;
  housekeeping = createHousekeeping(services, { everySeconds: 0.05 });
});

afterEach(async () => {
  await housekeeping.stop();
  await rows.close();
  await queue.close();
});

// Not by what a process does at this moment: who waits for a lock looks up from time to time, to see whether others wait for it.
const waitingForLocks = async (): Promise<number> => {
  const { rows: found } = await queue.pool.query(
    `select from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())`,
  );
  return found.length;
};

async function insertOverdueImport(): Promise<string> {
  const { teamId, indexId } = await insertTeam(rows, 'Team');
  const id = randomUUID();
  await rows.all(
    `insert into imports (id, team_id, index_id, system_name, incremental, state, started_at) values ($1, $2, $3, 'dam', true, 'STARTED', now())`,
    [id, teamId, indexId],
  );
  return id;
}

test('what fails keeps nothing else from being done, and is done once it can be', async () => {
  const id = await insertOverdueImport();
  await rows.all('alter table imports rename to imports_away');
  housekeeping.start();
  await waitFor(async () => (await rows.count('jobs')) === 2, { what: 'the recurring jobs' });
  await rows.all('alter table imports_away rename to imports');
  await waitFor(
    async () =>
      (await rows.one<{ state: string }>('select state from imports where id = $1', [id])).state ===
      'SUCCEEDED',
    { what: 'the import to end' },
  );
});

test('it goes on after its connections were cut', async () => {
  housekeeping.start();
  await waitFor(async () => (await rows.count('jobs')) === 2);
  await rows.all(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'test'`,
  );
  await rows.all('delete from jobs');
  await waitFor(async () => (await rows.count('jobs')) === 2, { what: 'the next look' });
});

test('it looks once at a time, however often it is started, and ends while the database does not answer', async () => {
  await rows.all('begin');
  await rows.all('lock table imports in access exclusive mode');
  housekeeping.start();
  housekeeping.start();
  await waitFor(async () => (await waitingForLocks()) > 0, { what: 'a look' });
  // Several times the pause between two looks.
  for (let n = 0; n < 20; n += 1) {
    await rows.all('select pg_sleep(0.02)');
    expect(await waitingForLocks()).toBe(1);
  }
  await housekeeping.stop();
  expect(await waitingForLocks()).toBe(1);
  await rows.all('rollback');
});
