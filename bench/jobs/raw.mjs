import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { deferred, times } from './support.mjs';

const BATCH = 500;
const LOOPS = 2;

const TABLE = `
create table raw_jobs (id bigint generated always as identity primary key, run_at timestamptz not null default now(),
  locked_at timestamptz, payload jsonb not null) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);
create index on raw_jobs (run_at, id) where locked_at is null`;

const CLAIM = {
  name: 'claim',
  text: `with next as materialized (
      select id from raw_jobs where locked_at is null and run_at <= now() order by run_at, id limit ${BATCH} for update skip locked
    ) update raw_jobs j set locked_at = now() from next where j.id = next.id returning j.id, j.payload`,
};
const COMPLETE = { name: 'complete', text: 'delete from raw_jobs where id = any ($1::bigint[])' };
const ADD_ONE = {
  name: 'add',
  text: `with added as (insert into raw_jobs (payload) values ($1) returning 1) select pg_notify('raw_jobs', '') from added`,
};

/** What PostgreSQL gives: claims and completions of 500 by two loops that know neither leases, failures nor slots. */
export async function createPeer({ url, onStart }) {
  const admin = new pg.Pool({ connectionString: url, max: 2 });
  await admin.query(TABLE);
  return {
    clear: () => admin.query('truncate raw_jobs'),
    add: (length) =>
      admin.query(
        `insert into raw_jobs (payload) select jsonb_build_object('n', n) from generate_series(1, $1) n`,
        [length],
      ),
    addOne: (n) => admin.query({ ...ADD_ONE, values: [JSON.stringify({ n })] }),
    left: async () => (await admin.query('select count(*)::int as left from raw_jobs')).rows[0].left,
    start: () => startLoops(url, onStart),
    close: () => admin.end(),
  };
}

async function startLoops(url, onStart) {
  const pool = new pg.Pool({ connectionString: url, max: LOOPS });
  const listener = new pg.Client({ connectionString: url });
  await listener.connect();
  let stopped = false;
  let woken = deferred();
  const wake = () => {
    woken.resolve();
    woken = deferred();
  };
  listener.on('notification', wake);
  await listener.query('listen raw_jobs');
  const loop = async () => {
    while (!stopped) {
      // Taken before the claim, so that no notification falls between.
      const next = woken.promise;
      const { rows } = await pool.query(CLAIM);
      for (const { payload } of rows) onStart(payload.n);
      if (rows.length > 0) await pool.query({ ...COMPLETE, values: [rows.map(({ id }) => id)] });
      else await Promise.race([next, sleep(500)]);
    }
  };
  const loops = times(LOOPS, loop);
  return async () => {
    stopped = true;
    wake();
    await Promise.all(loops);
    await Promise.all([pool.end(), listener.end()]);
  };
}
