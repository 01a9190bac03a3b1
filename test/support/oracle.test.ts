import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createTestDatabase } from './database.ts';
import { changeTask, IDS, KEY, type Mutation, playImport } from './oracle/played-import.ts';
import { startSampler } from './oracle/sampler.ts';
import { checkOracle, installOracle } from './oracle.ts';
import { insertTeam, openRows } from './rows.ts';
import { waitFor } from './wait.ts';

async function install() {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  const folder = await mkdtemp(join(tmpdir(), 'sluice-oracle-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const rows = await openRows(database.url);
  onTestFinished(() => rows.close());
  const team = await insertTeam(rows, 'Team');
  await installOracle(database.url);
  const accepted = { imports: [`imp_${IDS.import}`], tasks: [`task_${IDS.task}`] };
  return { folder, rows, team, databaseUrl: database.url, storage: folder, accepted };
}

interface Told {
  readonly spoil?: (folder: string) => Promise<void>;
  /** Public ids of videos that a client has deleted. */
  readonly deletedVideos?: readonly string[];
}

/** What the oracle says of an import that is played with a fault. */
async function verdictOn(mutation: Mutation, { spoil, deletedVideos = [] }: Told = {}) {
  const { rows, team, folder, accepted, ...options } = await install();
  await playImport(rows, { team, folder, mutation });
  await spoil?.(folder);
  return await checkOracle({ ...options, accepted: { ...accepted, deletedVideos } });
}

/** A retry that is as it should be: the task is opened again with its import. */
const CANCEL = `delete from jobs where subject_id = '${IDS.task}'; delete from task_progress;
  ${changeTask(`status = 'CANCELED', outcome = 'CANCELED', waiting_for = null, finished_at = now(), fraction = 0.5`)}`;

test('an import without a fault is green, a cancellation and retry in the middle of it too', async () => {
  expect(await verdictOn({})).toEqual([]);
  const again = `${changeTask(`status = 'PENDING', outcome = null, waiting_for = 'WORKER', finished_at = null`)};
    insert into jobs (id, kind, subject_id, team_id, payload, claim, owner, lease_until)
    select gen_random_uuid(), 'transfer-video', id, team_id, '{}', 7, gen_random_uuid(), now() from tasks where id = '${IDS.task}'`;
  const upload = changeTask(`status = 'UPLOADING', attempts = 2, fraction = 0, waiting_for = null`);
  expect(
    await verdictOn({ after: { report: `begin; ${CANCEL}; commit; begin; ${again}; commit; ${upload}` } }),
  ).toEqual([]);
});

const WEBHOOK = `update imports set webhook_url = 'https://example.com/'`;
const message = (run: number, state = 'DELIVERED') => `
  insert into webhook_deliveries (id, import_id, run, body, state, next_attempt_at)
  values (gen_random_uuid(), '${IDS.import}', ${run}, '{}', '${state}', ${state === 'DELIVERED' ? 'null' : 'now()'})`;

test('an import is green with the message about its end', async () => {
  expect(await verdictOn({ after: { plan: `${WEBHOOK}; ${message(1)}` } })).toEqual([]);
});

const task = `task ${IDS.task}: `;
const theImport = `import ${IDS.import}: `;
const FAILED = `status = 'FAILED', outcome = 'FAILED', error = '{"code":"X"}', fraction = 0.98, finished_at = now()`;

test.each<readonly [fault: string, mutation: Mutation, said: string]>([
  [
    'a worker that is presumed dead writes a status after its job went back',
    {
      after: {
        upload: 'update jobs set owner = null, lease_until = null',
        report: `update jobs set owner = gen_random_uuid(), lease_until = now(), claim = 8`,
      },
    },
    `${task}became VALIDATING by the claim 7, and its job is claimed as 8`,
  ],
  [
    'a task runs whose job nobody has claimed',
    { without: 'claim' },
    `${task}became UPLOADING, and nobody has claimed its job`,
  ],
  [
    'a task waits for its upload that a worker is to run',
    { after: { plan: changeTask(`waiting_for = 'UPLOAD'`) } },
    `${task}waits for its upload, and has a job: transfer-video`,
  ],
  [
    'a worker that is presumed dead writes over the status of its successor',
    { after: { index: changeTask(`status = 'UPLOADING'`) } },
    `${task}INDEXING to UPLOADING is no step`,
  ],
  ['the end of a task is dropped', { without: 'end' }, `${task}has not ended, it is INDEXING`],
  [
    'the end of a task is written twice',
    { after: { end: changeTask(`finished_at = finished_at + interval '1 second'`) } },
    `${task}was changed after its end: finished_at`,
  ],
  [
    'the end of a task leaves its job',
    {
      after: {
        end: `insert into jobs (id, kind, subject_id, team_id, payload) select gen_random_uuid(), 'index-video', id, team_id, '{}' from tasks where id = '${IDS.task}'`,
      },
    },
    `${task}has ended, and its job was left: index-video`,
  ],
  [
    'the end of a task leaves its progress',
    {
      after: {
        end: `insert into task_progress (task_id, team_id, claim, attempt, stage, stage_fraction, fraction, bytes_done) select id, team_id, 7, 1, 'UPLOAD', 1, 0.9, 1 from tasks where id = '${IDS.task}'`,
      },
    },
    `${task}has ended, and its progress was left`,
  ],
  [
    'a task is lost',
    { after: { finish: `delete from tasks where id = '${IDS.other}'` } },
    `task ${IDS.other}: was deleted`,
  ],
  [
    'a task that is lost leaves its entry',
    { after: { finish: `delete from tasks where id = '${IDS.other}'` } },
    `${theImport}its entry 1 is TASK, with 0 tasks and 0 rejected files`,
  ],
  [
    'a task that is READY runs again',
    {
      after: {
        finish: changeTask(
          `status = 'PENDING', outcome = null, waiting_for = 'WORKER', fraction = 0.5, finished_at = null`,
        ),
      },
    },
    `${task}READY to PENDING is no step`,
  ],
  [
    'a task that is READY becomes FAILED',
    { after: { end: changeTask(FAILED) } },
    `${task}READY to FAILED is no step`,
  ],
  [
    'a task is opened in an import that has finished',
    {
      after: {
        finish: changeTask(
          `status = 'PENDING', outcome = null, waiting_for = 'WORKER', fraction = 0.5, finished_at = null`,
        ),
      },
    },
    `${task}became PENDING though its import has finished`,
  ],
  [
    'an import finishes before its last task',
    { after: { index: `update imports set state = 'SUCCEEDED', finished_at = now(), counts = '{}'` } },
    `${theImport}finished with 1 tasks that have not ended`,
  ],
  [
    'an import ends without the message about it',
    { after: { plan: WEBHOOK } },
    `${theImport}finished without the message about its run 1`,
  ],
  [
    'the message about an import is lost',
    { after: { plan: `${WEBHOOK}; ${message(1)}`, finish: 'delete from webhook_deliveries' } },
    `${theImport}has 0 messages about 1 runs`,
  ],
  [
    'an import has two messages',
    { after: { plan: `${WEBHOOK}; ${message(1)}; ${message(2)}` } },
    `${theImport}has 2 messages about 1 runs`,
  ],
  [
    'a message waits for nobody',
    { after: { plan: `${WEBHOOK}; ${message(1, 'RETRYING')}` } },
    'is RETRYING, and has 0 jobs',
  ],
  ['an import never finishes', { without: 'finish' }, `${theImport}has not ended, it is STARTED`],
  [
    'an import finishes twice',
    { after: { finish: `update imports set finished_at = finished_at + interval '1 second'` } },
    `${theImport}was changed after its end: finished_at`,
  ],
  [
    'an import is opened without a run of its own',
    { after: { finish: `update imports set state = 'STARTED', finished_at = null, counts = null` } },
    `${theImport}its runs went from 1 to 1`,
  ],
  [
    'a count is wrong',
    {
      after: { claimIndexing: '', finish: `update imports set counts = jsonb_set(counts, '{failed}', '1')` },
    },
    `${theImport}its count of failed is 1, not 0`,
  ],
  [
    'more was found than became of it',
    { after: { plan: 'update imports set found = 3' } },
    `${theImport}found 3, and has 2 tasks and 0 rejected files`,
  ],
  [
    'an entry is never judged',
    {
      after: {
        plan: `update imports set found = 3; insert into import_entries (import_id, ordinal, input) values ('${IDS.import}', 2, '{}')`,
      },
    },
    `${theImport}finished with entries that have no verdict`,
  ],
  [
    'the fraction of a report falls',
    { after: { report: 'update task_progress set fraction = 0.4' } },
    `${task}its fraction fell from 0.5 to 0.4 within attempt 1`,
  ],
  [
    'the fraction of a task falls',
    { after: { validate: changeTask('fraction = 0.8') } },
    `${task}its fraction fell from 0.9 to 0.8 within attempt 1`,
  ],
  [
    'the last report is forgotten',
    { after: { report: `begin; delete from task_progress; ${changeTask('fraction = 0.3')}; commit` } },
    `${task}its fraction fell from 0.5 to 0.3 within attempt 1`,
  ],
  ['attempts fall', { after: { index: changeTask('attempts = 0') } }, `${task}its attempts fell from 1 to 0`],
  [
    'a job goes on after its last failure',
    { after: { claim: 'update jobs set failures = 8' } },
    'goes on after 8 failures',
  ],
  [
    'a job goes on after its last crash',
    { after: { claim: 'update jobs set crashes = 3' } },
    'goes on after 3 crashes',
  ],
  [
    'a second video has the same content',
    {
      after: {
        finish: `insert into videos (id, team_id, index_id, name, file_name, system_metadata, sha256, storage_key, version_import_id)
        select gen_random_uuid(), team_id, index_id, name, file_name, '{}', sha256, storage_key || '2', version_import_id from videos`,
      },
    },
    'has 2 incremental videos of the content',
  ],
  [
    'a claim outlives its task',
    { after: { finish: `update content_claims set task_id = '${IDS.task}'` } },
    `is held by task ${IDS.task}, which has ended`,
  ],
  [
    'a video is lost',
    { after: { finish: 'delete from videos' } },
    `${task}is READY, and its video is not there`,
  ],
  [
    'an import that a client was told of is lost',
    { after: { finish: 'alter table imports disable trigger all; delete from imports' } },
    `${theImport}was accepted, and is lost`,
  ],
  [
    'an import is made that nobody was told of',
    {
      after: {
        finish: `insert into imports (id, team_id, system_name, incremental) select gen_random_uuid(), team_id, 'dam', true from imports`,
      },
    },
    'is there, and nobody was told of it',
  ],
])('%s: the oracle names it', async (_fault, mutation, said) => {
  expect((await verdictOn(mutation)).join('\n')).toContain(said);
});

test.each<readonly [fault: string, spoil: (folder: string) => Promise<void>, said: string]>([
  ['an object is lost', (folder) => rm(join(folder, KEY)), `its object ${KEY} is missing`],
  ['an object is cut', (folder) => truncate(join(folder, KEY), 5), `its object ${KEY} holds other bytes`],
  [
    'an object belongs to nobody',
    (folder) => writeFile(join(folder, 'orphan'), ''),
    'object orphan: belongs to no video',
  ],
  [
    'an unfinished write is left',
    (folder) => writeFile(join(folder, `${KEY}.part`), ''),
    `object ${KEY}.part: belongs to no video`,
  ],
])('%s: the oracle names it', async (_fault, spoil, said) => {
  const faults = await verdictOn({}, { spoil });
  expect(faults).toHaveLength(1);
  expect(faults[0]).toContain(said);
});

const removeObject = (folder: string) => rm(join(folder, KEY));
const DELETE_VIDEO = 'delete from content_claims; delete from videos';
const deletedVideos = [`vid_${IDS.video}`];
const LOST = `${task}is READY, and its video is not there`;

/** Steps of a task that indexes the video again. */
const AGAIN = '00000000-0000-7000-8000-0000000000b2';
const reindex = {
  begin: `begin; insert into tasks (id, team_id, ordinal, index_id, video_id, file_name, name, name_given, incremental, stages, status,
            waiting_for, made_video)
          select '${AGAIN}', team_id, 0, index_id, video_id, file_name, name, false, true, '[]', 'QUEUED', 'WORKER', false
            from tasks where id = '${IDS.task}';
          insert into jobs (id, kind, subject_id, team_id, payload, claim, owner, lease_until)
          select gen_random_uuid(), 'index-video', id, team_id, '{}', 9, gen_random_uuid(), now() from tasks where id = '${AGAIN}'; commit`,
  run: `update tasks set status = 'INDEXING', attempts = 1, waiting_for = null where id = '${AGAIN}'`,
  end: `begin; delete from jobs where subject_id = '${AGAIN}';
        update tasks set status = 'READY', outcome = 'UPDATED', fraction = 1, finished_at = now() where id = '${AGAIN}'; commit`,
};
const REINDEX = `${reindex.begin}; ${reindex.run}; ${reindex.end}`;
const CANCEL_MAKER = `begin; delete from jobs where subject_id = '${IDS.task}'; ${DELETE_VIDEO};
  ${changeTask(`status = 'CANCELED', outcome = 'CANCELED', finished_at = now(), fraction = 0.99`)}; commit`;

test('a video may go that a client has deleted, and one that goes with the task that was making it', async () => {
  const deleted = { after: { finish: `${REINDEX}; ${DELETE_VIDEO}` } };
  expect(await verdictOn(deleted, { deletedVideos, spoil: removeObject })).toEqual([]);
  const counts = { rejected: 0, ready: 0, skipped: 1, failed: 0, canceled: 1 };
  const finish = `update imports set state = 'SUCCEEDED', finished_at = now(), counts = '${JSON.stringify(counts)}'`;
  const withdrawn: Mutation = {
    without: ['end', 'finish'],
    after: { index: `${REINDEX}; ${CANCEL_MAKER}; ${finish}` },
  };
  expect(await verdictOn(withdrawn, { spoil: removeObject })).toEqual([]);
});

test.each<readonly [fault: string, mutation: Mutation, told: Told, said: string]>([
  [
    'another video than the deleted one is lost',
    { after: { finish: DELETE_VIDEO } },
    { deletedVideos: [`vid_${AGAIN}`] },
    LOST,
  ],
  [
    'a task becomes READY whose video a client has deleted',
    { after: { index: DELETE_VIDEO } },
    { deletedVideos },
    LOST,
  ],
  [
    'a video that was indexed again is lost',
    { after: { finish: `${REINDEX}; ${DELETE_VIDEO}` } },
    {},
    `task ${AGAIN}: is READY, and its video is not there`,
  ],
  [
    'a deletion is forgotten',
    {},
    { deletedVideos },
    `video ${IDS.video}: was deleted for a client, and has never gone`,
  ],
])('%s: the oracle names it', async (_fault, mutation, told, said) => {
  expect((await verdictOn(mutation, told)).join('\n')).toContain(said);
});

test('what does not add up at some instant is seen, by rows and by what clients are told', async () => {
  const { rows, team, folder, ...options } = await install();
  let found = 2;
  const ask = async () => new Map([['imp_asked', { found, undecided: 2 }]]);
  const sampler = await startSampler(options.databaseUrl, ask);
  const look = () => {
    const before = sampler.looks();
    return waitFor(() => sampler.looks() > before + 1);
  };
  await playImport(rows, { team, folder });
  await look();
  // For a moment only: when all has ended, it is as it should be.
  await rows.all('update import_entries set verdict = null where ordinal = 1');
  found = 3;
  await look();
  await rows.all(`update import_entries set verdict = 'TASK'`);
  const faults = await checkOracle({ ...options, sampler });
  expect(faults).toHaveLength(2);
  expect(faults.join('\n')).toContain(
    `${theImport}found 2 at an instant with 1 undecided, 0 rejected and 2 tasks`,
  );
  expect(faults.join('\n')).toContain(
    'import imp_asked: does not add up to a client: {"found":3,"undecided":2}',
  );
});
