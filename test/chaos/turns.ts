import pg from 'pg';
import type { Kill } from './fleet.ts';

// The program says who it is by its application_name; a turn is one row's way from one owner to the next.
const TURNS = `
create schema chaos;
create table chaos.turns (
  n bigint generated always as identity primary key, at timestamptz not null default clock_timestamp(),
  program text not null default current_setting('application_name'), job uuid not null, owner uuid
);
create function chaos.note_turn() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and old.owner is not distinct from new.owner and old.claim = new.claim then return null; end if;
  if tg_op = 'INSERT' and new.owner is null then return null; end if;
  if tg_op = 'DELETE' then insert into chaos.turns (job) values (old.id);
  else insert into chaos.turns (job, owner) values (new.id, new.owner);
  end if;
  return null;
end $$;
create trigger chaos_turns after insert or update or delete on public.jobs for each row execute function chaos.note_turn();`;

// What the oracle notes must outlive a PostgreSQL that is ended without writing it: unlogged tables are empty afterwards.
const KEEP = 'alter table oracle.changes set logged; alter table oracle.faults set logged;';

/** Has a database, in which the oracle is installed, note who takes and gives back jobs. */
export async function installTurns(databaseUrl: string): Promise<void> {
  await withClient(databaseUrl, (client) => client.query(KEEP + TURNS));
}

/** What became of the jobs that a process held when it was killed; times in seconds since then. */
export interface TakeOver {
  readonly kill: Kill;
  readonly jobs: number;
  /** Until the last of them was back in the queue, or taken over. */
  readonly noticed: number;
  /** Until the last of them was claimed again; null while one waits, as behind all others. */
  readonly resumed: number | null;
}

interface Turn {
  readonly at: Date;
  readonly program: string;
  readonly job: string;
  readonly owner: string | null;
}

/** Reads what became of the jobs of each killed process. */
export async function readTakeOvers(
  databaseUrl: string,
  kills: readonly Kill[],
): Promise<readonly TakeOver[]> {
  const turns = await withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<Turn>('select at, program, job, owner from chaos.turns order by n');
    return rows;
  });
  const byJob = new Map<string, Turn[]>();
  for (const turn of turns) byJob.set(turn.job, [...(byJob.get(turn.job) ?? []), turn]);
  return kills.map((kill) => takeOverOf(kill, [...byJob.values()]));
}

function takeOverOf(kill: Kill, jobs: readonly (readonly Turn[])[]): TakeOver {
  const since = (turn: Turn | undefined) =>
    turn === undefined ? null : Math.max(0, (turn.at.getTime() - kill.at.getTime()) / 1000);
  const held = jobs.flatMap((turns) => {
    // Its last statements may be done after its end: those are its own, and no take-over.
    const last = turns.findLastIndex(({ program }) => program === kill.name);
    const turn = turns[last];
    if (turn === undefined || turn.owner === null) return [];
    const later = turns.slice(last + 1);
    if (later[0] !== undefined && later[0].at < kill.at) return [];
    const resumed = later.find(({ owner }) => owner !== null);
    return [{ noticed: since(later[0]), resumed: since(resumed) }];
  });
  const most = (values: readonly (number | null)[]) =>
    Math.max(0, ...values.map((value) => value ?? Number.POSITIVE_INFINITY));
  const resumed = most(held.map((one) => one.resumed));
  return {
    kill,
    jobs: held.length,
    noticed: most(held.map((one) => one.noticed)),
    resumed: Number.isFinite(resumed) ? resumed : null,
  };
}

async function withClient<T>(databaseUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
