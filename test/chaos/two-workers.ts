import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { expect, onTestFinished } from 'vitest';
import { makeClip } from '../../src/demo/clips.ts';
import { type Canceler, createCanceler, named } from '../flows/cancel-retry.ts';
import { sha256 } from '../flows/file-origin.ts';
import { box } from '../media/support/mp4-surgery.ts';
import { createTestClient } from '../support/client.ts';
import { createTestDatabase } from '../support/database.ts';
import { finishDeletions } from '../support/oracle/deletions.ts';
import { objectsIn } from '../support/oracle/objects.ts';
import { checkOracle, installOracle } from '../support/oracle.ts';
import { type PacedOrigin, startPacedOrigin } from '../support/paced-origin.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { waitFor } from '../support/wait.ts';
import { type Program, type Role, startProgram } from './program.ts';
import { CHAOS_KEY, programSettings } from './program-settings.ts';

const MIB = 1024 * 1024;
const FILE_BYTES = 6 * MIB;
const SLOW = MIB / 2;
const FAST = 50 * MIB;
const OVER = [
  'LEASE_LOST: this run of a job is over, nothing was written for it',
  'LEASE_OVER: the end of this run was stored by a commit whose answer got lost, or its lease was lost',
];
/** Of the video that the second worker brings in while the first is away, and of the one that it is at when it comes back. */
const [DONE, HELD] = ['done', 'held'] as const;

// Every change of what counts, with who made it; a lease that is kept is none.
const WRITES = `
create table oracle.writes (at timestamptz not null default clock_timestamp(), program text not null default current_setting('application_name'), what text not null);
create function oracle.note_write() returns trigger language plpgsql as $$
begin
  if tg_table_name = 'jobs' and tg_op = 'UPDATE' then
    if old.claim = new.claim and old.owner is not distinct from new.owner then return null; end if;
  end if;
  insert into oracle.writes (what) values (tg_op || ' ' || tg_table_name);
  return null;
end $$;
${['tasks', 'videos', 'imports', 'jobs', 'task_progress', 'content_claims', 'source_versions']
  .map(
    (table) =>
      `create trigger oracle_writes after insert or update or delete on ${table} for each row execute function oracle.note_write();`,
  )
  .join('\n')}`;

// Everything but leases, which live workers keep.
const ROWS = [
  'select * from tasks order by id',
  'select * from videos order by id',
  'select * from imports order by id',
  'select * from task_progress order by task_id',
  'select * from content_claims order by sha256',
  `select id, kind, claim, owner, claims, failures, crashes, lost_leases, run_at from jobs
    where kind in ('plan-import', 'transfer-video', 'index-video', 'process-video', 'delete-objects') order by id`,
];

/** A worker that is lost in the middle of two transfers, another that takes its place, and an API. */
export interface TwoWorkers {
  /** In the middle of both transfers. */
  readonly first: Program;
  /**
   * The second worker starts, brings in one video and waits in the middle of the other; then the first comes back, must say
   * that both its claims are over, and must change nothing at all. What the second does counts.
   */
  prove(comeBack: () => Promise<void>): Promise<void>;
}

/**
 * Starts everything up to the middle of the first worker's transfers.
 * @param reach gives the URL by which the first worker reaches the database
 */
export async function startTwoWorkers(reach: (databaseUrl: string) => Promise<string>): Promise<TwoWorkers> {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  const folder = await mkdtemp(join(tmpdir(), 'sluice-two-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const start = createStarter(folder);
  // Only the first loses a lease: who is busy must not, while it waits for bytes.
  const patient = { SLUICE_LEASE_SECONDS: '15' };
  const api = await start('api', 'api', database.url);
  const rows = await openRows(database.url);
  onTestFinished(() => rows.close());
  await installOracle(database.url);
  await rows.all(WRITES);
  const origin = await serve(folder);
  const first = await start('first', 'worker', await reach(database.url));
  const client = createCanceler(createTestClient({ url: api.url() ?? '', key: CHAOS_KEY }));
  const { id } = await client.start({
    systemName: 'dam',
    videos: [DONE, HELD].map((name) => ({ externalId: name, url: origin.url(name) })),
  });
  const isUnderWay = () => transfersOf(origin).filter(({ sent }) => sent > MIB).length === 2;
  await waitFor(isUnderWay, { what: 'the middle of both transfers', timeout: 60_000 });
  const objects = objectsIn(join(folder, 'media'));
  const look = async () => ({
    rows: await Promise.all(ROWS.map((statement) => rows.all(statement))),
    objects: await Promise.all(
      [...(await objects.list())]
        .filter(isWhole)
        .sort()
        .map(async (key) => [key, await hashOf(objects.read(key))]),
    ),
  });
  return {
    first,
    async prove(comeBack) {
      origin.held.add(HELD);
      const sayings = () => OVER.reduce((sum, message) => sum + (first.said.get(message) ?? 0), 0);
      const saidBefore = sayings();
      const began = transfersOf(origin).length;
      const tries = (await client.look(id)).tasks.nodes.map(({ attempts }) => attempts + 1);
      const second = await start('second', 'worker', database.url, patient);
      await takeOver(client, { id, origin, began });
      // What the first had sent before it was lost has been done by now.
      const lostAt = await now(rows);
      const before = await settled(look);
      await comeBack();
      await waitFor(() => sayings() - saidBefore === 2, { what: 'what the first says of its leases' });
      expect(await look()).toEqual(before);
      // Whatever it may still be at ends with it.
      expect(await first.stop()).toEqual({ code: 0, signal: null });
      expect(await look()).toEqual(before);
      const writes = `select what from oracle.writes where program = 'first' and at > $1`;
      expect(await rows.all(writes, [lostAt])).toEqual([]);
      origin.held.clear();
      const over = await client.end(id);
      expect(over).toMatchObject({ state: 'SUCCEEDED', counts: { ready: 2 } });
      expect(over.tasks.nodes.map(({ attempts }) => attempts)).toEqual(tries);
      await finishDeletions(database.url);
      const storage = join(folder, 'media');
      expect(await checkOracle({ databaseUrl: database.url, storage, accepted: { imports: [id] } })).toEqual(
        [],
      );
      expect([...first.complaints, ...second.complaints]).toEqual([]);
    },
  };
}

const SETTLED_MS = 2_500;

/** What is there when nothing changes any more: what was under way a moment ago still gets written. */
async function settled<T>(look: () => Promise<T>): Promise<T> {
  for (let last = await look(); ; ) {
    await sleep(SETTLED_MS);
    const now = await look();
    if (isDeepStrictEqual(now, last)) return now;
    last = now;
  }
}

/**
 * The second worker has both jobs: one video is in, and it waits for bytes of the other.
 * @param began how many transfers had begun before it was started
 */
async function takeOver(
  client: Canceler,
  { id, origin, began }: { readonly id: string; readonly origin: PacedOrigin; readonly began: number },
): Promise<void> {
  const resumed = () => transfersOf(origin).length >= began + 2;
  await waitFor(resumed, { what: 'the second worker', timeout: 90_000 });
  origin.rate = FAST;
  await client.until(
    id,
    (found) => named(found, DONE).status === 'READY' && named(found, HELD).status === 'UPLOADING',
  );
}

/** What is unfinished is no object yet, and its place is that of one claim alone. */
const isWhole = (key: string) => !key.endsWith('.part');

const transfersOf = ({ sendings }: PacedOrigin) => sendings.filter(({ kind }) => kind === 'transfer');

async function serve(folder: string): Promise<PacedOrigin> {
  await makeClip({ width: 160, height: 120, seconds: 1, audioCodec: null }, join(folder, 'clip.mp4'));
  const clip = await readFile(join(folder, 'clip.mp4'));
  const files = [DONE, HELD].map(
    (name, at) => [name, Buffer.concat([clip, box('free', Buffer.alloc(FILE_BYTES, at))])] as const,
  );
  const origin = await startPacedOrigin(new Map(files), SLOW);
  onTestFinished(() => origin.close());
  return origin;
}

function createStarter(folder: string) {
  return async (name: string, role: Role, databaseUrl: string, more = {}): Promise<Program> => {
    const dataDir = join(folder, name);
    await mkdir(dataDir);
    const program = startProgram({
      name,
      role,
      logs: folder,
      settings: programSettings({ databaseUrl, folder, name, dataDir, settings: more }),
    });
    onTestFinished(async () => {
      program.signal('SIGKILL');
      await program.ended;
    });
    await waitFor(() => program.isReady(), { what: `the start of ${name}`, timeout: 90_000 });
    return program;
  };
}

async function now(rows: Rows): Promise<Date> {
  return (await rows.one<{ at: Date }>('select clock_timestamp() as at')).at;
}

async function hashOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return sha256(Buffer.concat(chunks));
}
