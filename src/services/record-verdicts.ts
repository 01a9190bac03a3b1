import { sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import type { Metadata } from '../db/tables/imports.ts';
import type { ProductName } from '../db/tables/products.ts';
import type { StoredStage } from '../db/tables/tasks.ts';
import { databaseNow } from '../db/tables/types.ts';
import { transferVideo } from '../jobs/definitions.ts';
import { enqueueMany } from '../jobs/queue.ts';
import { CANCELED_REASON } from './cancel-tasks.ts';
import { isObject } from './entry.ts';
import type { Decision } from './judge-entries.ts';
import { mergeMetadata } from './known-content.ts';
import { type Reserved, reserveRoom } from './reserve-room.ts';
import { waitingStages } from './stages.ts';
import { isIncomplete } from './upload-rows.ts';
import { NOTHING } from './usage.ts';

/** The import that the entries are of. */
export interface PlannedImport {
  readonly id: string;
  readonly teamId: string;
  readonly indexId: string;
  /** Of the pairs of videos by URL; null for objects. */
  readonly systemName: string | null;
  readonly integrationId: string | null;
  readonly incremental: boolean;
  readonly metadata: Metadata | null;
  /** What each of its videos is to be made into. */
  readonly products: readonly ProductName[];
}

/**
 * Writes verdicts down: marks the entries, makes their tasks with their transfer jobs, or their failed files.
 * A handful of statements, however many entries there are.
 * @returns how many transfer jobs were made
 */
export async function recordVerdicts(
  tx: Transaction,
  planned: PlannedImport,
  judged: readonly Decision[],
): Promise<number> {
  // Keys of pairs are locked before videos, and both before the room is opened: whoever makes the same pairs is waited for here,
  // and must not be waited for behind that. A skip that is not confirmed is accepted: the pairs stay the same.
  const videoIds = await reserveVideoIds(tx, planned, judged.filter(isNotRejected));
  const confirmed = await confirmSkips(tx, planned.id, judged);
  await keepUploads(tx, judged);
  const { decisions, reserved } = await reserveRoom(tx, planned, { decisions: confirmed, videoIds });
  const rejected = decisions.filter(({ verdict }) => verdict.kind === 'REJECTED');
  const accepted = decisions.filter(isNotRejected);
  await markEntries(tx, planned.id, decisions);
  if (rejected.length > 0) await insertFailedFiles(tx, planned, rejected);
  if (accepted.length === 0) return 0;
  const transfers = await insertTasks(tx, planned, { accepted, videoIds, reserved });
  return await enqueueMany(
    tx,
    transferVideo,
    transfers.map((taskId) => ({ subjectId: taskId, teamId: planned.teamId, payload: {} })),
  );
}

const isNotRejected = ({ verdict }: Decision) => verdict.kind !== 'REJECTED';

/** Uploads are not completed or given up until the tasks are there that wait for them: nobody would wake those. */
async function keepUploads(tx: Transaction, judged: readonly Decision[]): Promise<void> {
  const ids = judged.flatMap(({ input }) =>
    isObject(input) || input.uploadId == null ? [] : [input.uploadId],
  );
  if (ids.length === 0) return;
  await tx.execute(sql`select from uploads where id = any(${sql.param(ids)}::uuid[]) order by id for share`);
}

/**
 * Looks once more, under a lock, whether the videos that entries are skipped for still hold what they held when that was
 * decided: an entry whose video does not is accepted, and its task decides. A confirmed pair is this import's from now on, so that
 * an older one that comes to its end later does not replace it.
 */
async function confirmSkips(
  tx: Transaction,
  importId: string,
  judged: readonly Decision[],
): Promise<readonly Decision[]> {
  const skips = judged.flatMap(({ verdict }) =>
    verdict.kind === 'SKIPPED' && verdict.videoId !== null ? [verdict] : [],
  );
  if (skips.length === 0) return judged;
  const { rows } = await tx.execute<{ id: string; sha256: string }>(sql`
    select v.id, v.sha256 from videos v
     where v.id in (select "videoId" from jsonb_to_recordset(${JSON.stringify(skips)}::jsonb) as s("videoId" uuid))
     order by v.id for no key update`);
  const held = new Map(rows.map((row) => [row.id, row.sha256]));
  const records = skips.filter(
    (skip) => skip.skipReason === 'SAME_RECORD' && held.get(skip.videoId) === skip.sha256,
  );
  if (records.length > 0) {
    await tx.execute(sql`
      update videos v set version_import_id = greatest(v.version_import_id, ${importId}::uuid)
       where v.id in (select "videoId" from jsonb_to_recordset(${JSON.stringify(records)}::jsonb) as s("videoId" uuid))`);
  }
  return judged.map((decision) => {
    const { verdict } = decision;
    if (verdict.kind !== 'SKIPPED' || verdict.videoId === null) return decision;
    return held.get(verdict.videoId) === verdict.sha256
      ? decision
      : { ...decision, verdict: { kind: 'ACCEPTED', version: null, size: null, metadata: null } };
  });
}

async function markEntries(tx: Transaction, importId: string, decisions: readonly Decision[]): Promise<void> {
  const marks = decisions.map(({ ordinal, verdict }) => ({
    ordinal,
    verdict: verdict.kind === 'REJECTED' ? 'REJECTED' : 'TASK',
  }));
  await tx.execute(sql`
    update import_entries e set verdict = m.verdict
      from jsonb_to_recordset(${JSON.stringify(marks)}::jsonb) as m(ordinal int, verdict text)
     where e.import_id = ${importId} and e.ordinal = m.ordinal`);
}

async function insertFailedFiles(
  tx: Transaction,
  planned: PlannedImport,
  rejected: readonly Decision[],
): Promise<void> {
  const rows = rejected.flatMap(({ ordinal, input, verdict }) =>
    verdict.kind !== 'REJECTED'
      ? []
      : [
          {
            id: uuidv7(),
            ordinal,
            fileName: input.fileName,
            name: input.name ?? input.fileName,
            ...(isObject(input) ? { sourceKey: input.key } : { externalId: input.externalId }),
            error: verdict.error,
          },
        ],
  );
  await tx.execute(sql`
    insert into failed_files (id, team_id, import_id, ordinal, file_name, name, external_id, source_key,
                              error_code, error_message, error_retryable, error_measured, error_required)
    select id, ${planned.teamId}, ${planned.id}, ordinal, "fileName", name, "externalId", "sourceKey", error ->> 'code', error ->> 'message',
           (error ->> 'retryable')::boolean, error ->> 'measured', error ->> 'required'
      from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
        as r(id uuid, ordinal int, "fileName" text, name text, "externalId" text, "sourceKey" text, error jsonb)
     order by ordinal`);
}

/** Every task of a pair gets the pair's one video id, whoever comes first; an object has no pair. */
async function reserveVideoIds(
  tx: Transaction,
  { indexId, systemName }: PlannedImport,
  accepted: readonly Decision[],
): Promise<ReadonlyMap<string, string>> {
  const pairs = accepted.flatMap(({ input }) => (isObject(input) ? [] : [input.externalId]));
  if (pairs.length === 0) return new Map();
  const wanted = JSON.stringify(pairs.map((externalId) => ({ externalId, videoId: uuidv7() })));
  for (;;) {
    await tx.execute(sql`
      insert into video_keys (index_id, system_name, external_id, video_id)
      select ${indexId}, ${systemName}, "externalId", "videoId"
        from jsonb_to_recordset(${wanted}::jsonb) as r("externalId" text, "videoId" uuid)
       order by "externalId"
      on conflict do nothing`);
    // Locked, so that whoever deletes a video sees its tasks. One that went at this moment is asked for anew.
    const { rows } = await tx.execute<{ external_id: string; video_id: string }>(sql`
      select k.external_id, k.video_id
        from jsonb_to_recordset(${wanted}::jsonb) as r("externalId" text)
        join video_keys k on k.index_id = ${indexId} and k.system_name = ${systemName} and k.external_id = r."externalId"
       order by k.external_id for key share of k`);
    const videoIds = new Map(rows.map((row) => [row.external_id, row.video_id]));
    if (pairs.every((externalId) => videoIds.has(externalId))) return videoIds;
  }
}

const skipped = (stages: readonly StoredStage[]) =>
  stages.map((stage) => ({ ...stage, state: 'SKIPPED' as const }));

/** How a task begins: it waits, or it has ended before it ever ran. */
const beginningOf = ({ verdict }: Decision, products: readonly ProductName[]) => {
  const stages = waitingStages(products);
  switch (verdict.kind) {
    case 'SKIPPED':
      return {
        status: 'SKIPPED',
        outcome: 'SKIPPED',
        skipReason: verdict.skipReason,
        reason: verdict.reason,
        fraction: 1,
        bytesTotal: 0,
        stages: skipped(stages),
      };
    case 'CANCELED':
      return {
        status: 'CANCELED',
        outcome: 'CANCELED',
        reason: CANCELED_REASON,
        fraction: 0,
        stages: skipped(stages),
      };
    default:
      return { status: 'PENDING', waitingFor: 'WORKER', fraction: 0, stages };
  }
};

/** What the rows of tasks are made of beside the decisions. */
interface Given {
  readonly videoIds: ReadonlyMap<string, string>;
  readonly reserved: Reserved;
}

function toTaskRow(planned: PlannedImport, decision: Decision, { videoIds, reserved: promised }: Given) {
  const { ordinal, input, verdict, sourceHash } = decision;
  const skipped = verdict.kind === 'SKIPPED' ? verdict : null;
  const accepted = verdict.kind === 'ACCEPTED' ? verdict : null;
  const source = isObject(input)
    ? { sourceKey: input.key, integrationId: planned.integrationId }
    : {
        externalId: input.externalId,
        sourceUrl: input.url,
        uploadId: input.uploadId,
        expectedSha256: input.sha256,
      };
  const reserved = isObject(input) ? uuidv7() : videoIds.get(input.externalId);
  return {
    id: uuidv7(),
    ordinal,
    videoId: skipped?.videoId ?? reserved,
    ...source,
    sourceHash,
    fileName: input.fileName,
    name: input.name ?? input.fileName,
    nameGiven: input.name !== undefined,
    description: input.description ?? null,
    metadata: mergeMetadata(planned.metadata, input.metadata ?? null),
    sourceVersion: accepted?.version ?? null,
    bytesTotal: accepted?.size ?? null,
    systemMetadata: accepted?.metadata ?? null,
    reserved: promised.get(ordinal) ?? NOTHING,
    ...beginningOf(decision, planned.products),
  };
}

async function insertTasks(
  tx: Transaction,
  planned: PlannedImport,
  { accepted, ...given }: Given & { readonly accepted: readonly Decision[] },
): Promise<readonly string[]> {
  const rows = accepted.map((decision) => toTaskRow(planned, decision, given));
  const { rows: made } = await tx.execute<{ id: string; waiting_for: string | null }>(sql`
    insert into tasks (id, team_id, import_id, ordinal, index_id, video_id, system_name, external_id, file_name, name, name_given,
                       description, metadata, incremental, source_url, upload_id, integration_id, source_key, source_hash, source_version, expected_sha256, bytes_total, system_metadata,
                       status, outcome, skip_reason, reason, waiting_for, fraction, stages, reserved_videos, reserved_bytes, reserved_milliseconds, finished_at)
    select id, ${planned.teamId}, ${planned.id}, ordinal, ${planned.indexId}, "videoId", ${planned.systemName}, "externalId",
           "fileName", name, "nameGiven", description, metadata, ${planned.incremental}, "sourceUrl", "uploadId", "integrationId", "sourceKey", "sourceHash", "sourceVersion",
           "expectedSha256", "bytesTotal", "systemMetadata", status, outcome, "skipReason", reason,
           case when "waitingFor" = 'WORKER' and ${isIncomplete(sql`r."uploadId"`)} then 'UPLOAD' else "waitingFor" end, fraction, stages,
           (reserved ->> 'videos')::int, (reserved ->> 'bytes')::bigint, (reserved ->> 'milliseconds')::bigint,
           case when outcome is not null then ${databaseNow} end
      from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as r(
        id uuid, ordinal int, "videoId" uuid, "externalId" text, "fileName" text, name text, "nameGiven" boolean, description text,
        metadata jsonb, "sourceUrl" text, "uploadId" uuid, "integrationId" uuid, "sourceKey" text, "sourceHash" text, "sourceVersion" text, "expectedSha256" text, "bytesTotal" bigint,
        "systemMetadata" jsonb, status text, outcome text, "skipReason" text, reason text, "waitingFor" text, fraction float8, stages jsonb, reserved jsonb)
     order by ordinal
    returning id, waiting_for`);
  return made.filter((row) => row.waiting_for === 'WORKER').map((row) => row.id);
}
