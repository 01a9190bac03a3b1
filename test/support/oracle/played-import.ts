import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Rows, TeamRows } from '../rows.ts';

/** Ids of what is played, so that statements can name them. */
export const IDS = {
  import: '00000000-0000-7000-8000-00000000000a',
  task: '00000000-0000-7000-8000-0000000000b0',
  other: '00000000-0000-7000-8000-0000000000b1',
  video: '00000000-0000-7000-8000-0000000000c0',
} as const;

const BYTES = 'the bytes of a video';
const SHA256 = createHash('sha256').update(BYTES).digest('hex');
/** Where the bytes are in the storage. */
export const KEY = `teams/x/tasks/${IDS.task}/7/original`;
const COUNTS = {
  rejected: 0,
  uploading: 0,
  validating: 0,
  pending: 0,
  queued: 0,
  indexing: 0,
  ready: 1,
  skipped: 1,
  failed: 0,
  canceled: 0,
};
const LEASE = `owner = gen_random_uuid(), lease_until = now() + interval '1 hour'`;
const task = (change: string) => `update tasks set ${change} where id = '${IDS.task}'`;

/** One import of two videos, as a product without faults would write it: each step is a transaction. */
const stepsOf = ({ teamId, indexId }: TeamRows) => {
  const insertTask = (id: string, ordinal: number, end: string) => `
    insert into tasks (id, team_id, import_id, ordinal, index_id, video_id, system_name, external_id, file_name, name, name_given,
                       incremental, stages, status, outcome, skip_reason, waiting_for, fraction, finished_at)
    values ('${id}', '${teamId}', '${IDS.import}', ${ordinal}, '${indexId}', '${IDS.video}', 'dam', '${ordinal}', 'a.mp4', 'A', true, true, '[]', ${end})`;
  const insertJob = (kind: string) =>
    `insert into jobs (id, kind, subject_id, team_id, payload) values (gen_random_uuid(), '${kind}', '${IDS.task}', '${teamId}', '{}')`;
  return {
    start: `insert into imports (id, team_id, index_id, system_name, incremental, found) values ('${IDS.import}', '${teamId}', '${indexId}', 'dam', true, 2);
            insert into import_entries (import_id, ordinal, input) values ('${IDS.import}', 0, '{}'), ('${IDS.import}', 1, '{}')`,
    judge: `update import_entries set verdict = 'TASK';
            ${insertTask(IDS.task, 0, `'PENDING', null, null, 'WORKER', 0, null`)};
            ${insertTask(IDS.other, 1, `'SKIPPED', 'SKIPPED', 'SAME_CONTENT', null, 1, now()`)};
            ${insertJob('transfer-video')}`,
    plan: `update imports set state = 'STARTED', started_at = now()`,
    claim: `update jobs set claim = 7, ${LEASE}`,
    upload: task(`status = 'UPLOADING', attempts = 1, waiting_for = null`),
    report: `insert into task_progress (task_id, team_id, claim, attempt, stage, stage_fraction, fraction, bytes_done)
             values ('${IDS.task}', '${teamId}', 7, 1, 'UPLOAD', 0.6, 0.5, 10)`,
    validate: task(`status = 'VALIDATING', fraction = 0.9, sha256 = '${SHA256}', storage_key = '${KEY}'`),
    settle: `delete from jobs where subject_id = '${IDS.task}'; delete from task_progress;
             insert into content_claims (index_id, sha256, video_id, task_id) values ('${indexId}', '${SHA256}', '${IDS.video}', '${IDS.task}');
             insert into videos (id, team_id, index_id, system_name, external_id, name, file_name, system_metadata, sha256, storage_key, version_import_id)
             values ('${IDS.video}', '${teamId}', '${indexId}', 'dam', '0', 'A', 'a.mp4', '{}', '${SHA256}', '${KEY}', '${IDS.import}');
             ${task(`status = 'QUEUED', waiting_for = 'WORKER', fraction = 0.98, made_video = true`)};
             ${insertJob('index-video')}`,
    claimIndexing: `update jobs set claim = 8, ${LEASE}`,
    index: task(`status = 'INDEXING', waiting_for = null`),
    end: `delete from jobs where subject_id = '${IDS.task}'; update content_claims set task_id = null;
          ${task(`status = 'READY', outcome = 'CREATED', fraction = 1, finished_at = now()`)}`,
    finish: `update imports set state = 'SUCCEEDED', finished_at = now(), counts = '${JSON.stringify(COUNTS)}'`,
  } as const;
};

/** The steps of a played import. */
export type StepName = keyof ReturnType<typeof stepsOf>;

/** How a play departs from what is right. */
export interface Mutation {
  /** Steps that are not done. */
  readonly without?: StepName | readonly StepName[];
  /** Statements, each a transaction of its own, after a step. */
  readonly after?: Partial<Record<StepName, string>>;
}

/** Plays an import, step by step, with its one object in a folder. */
export async function playImport(
  rows: Rows,
  {
    team,
    folder,
    mutation = {},
  }: { readonly team: TeamRows; readonly folder: string; readonly mutation?: Mutation },
): Promise<void> {
  await mkdir(dirname(join(folder, KEY)), { recursive: true });
  await writeFile(join(folder, KEY), BYTES);
  // The names are those of the steps: the compiler widens them.
  for (const [name, statements] of Object.entries(stepsOf(team)) as [StepName, string][]) {
    if (![mutation.without].flat().includes(name)) await rows.client.query(statements);
    const more = mutation.after?.[name];
    if (more !== undefined) await rows.client.query(more);
  }
}

/** A statement about the task that is played. */
export const changeTask = task;
