import { sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { databaseNow } from '../db/tables/types.ts';
import { processVideo, transferVideo } from '../jobs/definitions.ts';
import { enqueue, enqueueMany } from '../jobs/queue.ts';
import { endAsFailed, moveTask, type TaskRow } from './end-task.ts';
import { TaskCannotBeRetriedError } from './errors.ts';
import { keepVideo, showProcessing } from './reindex-video.ts';
import { existing } from './reserve-room.ts';
import { isReindex, restartStages } from './stages.ts';
import { isIncomplete } from './upload-rows.ts';
import { type Amount, amountOf, NOTHING, openRoom } from './usage.ts';

/** What is tried again comes after what was never tried. */
const PRIORITY = 10;

/**
 * Queues locked tasks of one team again that had ended: the same tasks, from the beginning, with a transfer job each. Attempts
 * go on counting; what an earlier attempt stored is not gone on from, but how far it came is told until the next one begins.
 * Those that the team has no room for fail.
 */
export async function requeueTasks(tx: Transaction, tasks: readonly TaskRow[]): Promise<void> {
  const [first] = tasks;
  if (!first) return;
  await reservePairs(tx, tasks);
  const room = await openRoom(tx, first.teamId);
  const amounts = room === null ? new Map<string, Amount>() : await amountsOf(tx, tasks);
  const shares = tasks.map((task) => {
    const amount = amounts.get(task.id) ?? NOTHING;
    const error = room?.take(amount) ?? null;
    return { task, amount: error === null ? amount : NOTHING, error };
  });
  const ready = await reopenTasks(tx, shares);
  await enqueueTransfers(
    tx,
    shares.filter(({ task, error }) => error === null && ready.has(task.id)),
  );
  for (const { task, error } of shares)
    if (error !== null)
      await endAsFailed(tx, { ...task, status: 'PENDING', stages: restartStages(task.stages) }, error);
}

/**
 * Queues one locked task again that had ended, as `requeueTasks` does.
 * @throws {UsageLimitExceededError} when its team has no room for it
 * @throws {TaskCannotBeRetriedError} when it is to make something of a video that is gone
 */
export async function requeueOnly(tx: Transaction, task: TaskRow): Promise<void> {
  if (isReindex(task.stages)) return await requeueReindex(tx, task);
  await reservePairs(tx, [task]);
  const room = await openRoom(tx, task.teamId);
  const amount = (room && (await amountsOf(tx, [task])).get(task.id)) ?? NOTHING;
  room?.takeOrRefuse(amount);
  const ready = await reopenTasks(tx, [{ task, amount }]);
  if (ready.has(task.id)) await enqueueTransfers(tx, [{ task }]);
}

/** The same task, from its beginning: it works on the video that is there, and stores none. */
async function requeueReindex(tx: Transaction, task: TaskRow): Promise<void> {
  const video = await keepVideo(tx, task.videoId);
  if (video === null) throw new TaskCannotBeRetriedError(task.status, { isVideoGone: true });
  await moveTask(tx, task, {
    status: 'QUEUED',
    waitingFor: 'WORKER',
    outcome: null,
    reason: null,
    error: null,
    finishedAt: null,
    stages: restartStages(task.stages),
  });
  await showProcessing(tx, video, task.stages);
  await enqueue(tx, processVideo, {
    subjectId: task.id,
    teamId: task.teamId,
    payload: {},
    priority: PRIORITY,
  });
}

/** A task, and what it is promised of its team's limits. */
interface Share {
  readonly task: TaskRow;
  readonly amount: Amount;
}

/** What the tasks will take, as far as that is known by now; by their ids. */
async function amountsOf(tx: Transaction, tasks: readonly TaskRow[]): Promise<ReadonlyMap<string, Amount>> {
  const there = await existing(
    tx,
    tasks.map(({ videoId }) => videoId),
  );
  return new Map(
    tasks.map((task) => {
      const videos = there.has(task.videoId) ? 0 : 1;
      return [task.id, amountOf(task.systemMetadata, { videos, size: task.bytesTotal })];
    }),
  );
}

/** @returns the ids of those that wait for a worker: one whose upload is not complete begins when that is */
async function reopenTasks(tx: Transaction, shares: readonly Share[]): Promise<ReadonlySet<string>> {
  const rows = JSON.stringify(
    shares.map(({ task, amount }) => ({ id: task.id, stages: restartStages(task.stages), ...amount })),
  );
  const { rows: reopened } = await tx.execute<{ id: string; waiting_for: string }>(sql`
    update tasks t set status = 'PENDING', outcome = null, reason = null, error = null,
           waiting_for = case when ${isIncomplete(sql`t.upload_id`)} then 'UPLOAD' else 'WORKER' end,
           next_attempt_at = null, finished_at = null, partial = null, storage_key = null,
           sha256 = null, made_video = null, stages = r.stages,
           reserved_videos = r.videos, reserved_bytes = r.bytes, reserved_milliseconds = r.milliseconds,
           video_id = coalesce((select k.video_id from video_keys k
             where k.index_id = t.index_id and k.system_name = t.system_name and k.external_id = t.external_id), t.video_id),
           updated_at = ${databaseNow}, progressed_at = ${databaseNow}
      from jsonb_to_recordset(${rows}::jsonb) as r(id uuid, stages jsonb, videos int, bytes bigint, milliseconds bigint)
     where t.id = r.id
    returning t.id, t.waiting_for`);
  return new Set(reopened.filter((row) => row.waiting_for === 'WORKER').map(({ id }) => id));
}

async function enqueueTransfers(tx: Transaction, queued: readonly Pick<Share, 'task'>[]): Promise<void> {
  await enqueueMany(
    tx,
    transferVideo,
    queued.map(({ task: { id, teamId } }) => ({ subjectId: id, teamId, payload: {}, priority: PRIORITY })),
  );
}

/** A pair whose video was deleted meanwhile gets its id again. */
async function reservePairs(tx: Transaction, tasks: readonly TaskRow[]): Promise<void> {
  const pairs = tasks.flatMap(({ indexId, systemName, externalId, videoId }) =>
    systemName === null ? [] : [{ indexId, systemName, externalId, videoId }],
  );
  if (pairs.length === 0) return;
  const wanted = sql`jsonb_to_recordset(${JSON.stringify(pairs)}::jsonb)
    as r("indexId" uuid, "systemName" text, "externalId" text, "videoId" uuid)`;
  const distinct = new Set(
    pairs.map((pair) => JSON.stringify([pair.indexId, pair.systemName, pair.externalId])),
  );
  for (let locked = -1; locked < distinct.size; ) {
    await tx.execute(sql`
      insert into video_keys (index_id, system_name, external_id, video_id)
      select "indexId", "systemName", "externalId", "videoId" from ${wanted} order by 1, 2, 3
      on conflict do nothing`);
    // Locked, so that whoever deletes a video sees its tasks. One that went at this moment is made anew.
    const { rows } = await tx.execute(sql`
      select from video_keys k where (k.index_id, k.system_name, k.external_id) in (
        select "indexId", "systemName", "externalId" from ${wanted})
       order by k.index_id, k.system_name, k.external_id for key share`);
    locked = rows.length;
  }
}
