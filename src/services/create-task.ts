import { z } from 'zod';
import type { Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { tasks } from '../db/tables/tasks.ts';
import type { UploadMetadata } from '../db/tables/uploads.ts';
import { transaction } from '../db/transaction.ts';
import { transferVideo } from '../jobs/definitions.ts';
import { enqueue } from '../jobs/queue.ts';
import { askedProducts } from './asked-products.ts';
import type { Services } from './deps.ts';
import { hashObject, hashUpload, hashUrl } from './entry.ts';
import { ForbiddenError, InvalidInputError, NotFoundError } from './errors.ts';
import { idempotencyOf, madeBefore, usedKey, useKey } from './idempotency.ts';
import { findTarget, type Target } from './import-target.ts';
import { keepIndex } from './indexes.ts';
import { objectKey, parseInput, sha256, text } from './input-rules.ts';
import { fileNameOf } from './list-entries.ts';
import { sealUrl } from './source-urls.ts';
import { waitingStages } from './stages.ts';
import { importOptions, videoUrl } from './start-import-input.ts';
import { unchangedVersion } from './unchanged-version.ts';
import { type Amount, amountOf, NOTHING, openRoom } from './usage.ts';
import { useUploads } from './use-uploads.ts';
import type { Viewer } from './viewer.ts';

const createTaskInput = z.object({
  // The schema has seen to it that exactly one is there.
  from: z.object({
    url: z.string().pipe(videoUrl).nullish(),
    uploadId: z.string().nullish(),
    object: z.object({ integrationId: z.string(), key: objectKey }).nullish(),
  }),
  name: text(1, 255).nullish(),
  description: text(0, 511).nullish(),
  fileName: text(1, 255).nullish(),
  sha256: sha256.nullish(),
  ...importOptions,
});

/** The checked input of createTask. */
type CreateTask = z.output<typeof createTaskInput>;

/**
 * Brings in one video without an import around it: its task waits for a worker at once.
 * @param input as the API takes it, not checked yet
 * @returns the row id of the task: a new one, or that of the first call with the same idempotency key
 * @throws {InvalidInputError} with everything that is wrong; nothing is stored
 * @throws {NotFoundError} when an id names nothing that the viewer reaches
 * @throws {UsageLimitExceededError} when a limit of the team is reached
 * @throws {ForbiddenError} for an upload token with another source than an upload
 * @throws {IdempotencyConflictError} when the idempotency key was used with another input
 */
export async function createTask(services: Services, viewer: Viewer, input: unknown): Promise<string> {
  const parsed = parseInput(createTaskInput, 'input', input);
  assertOwnUpload(viewer, parsed);
  const { object, uploadId } = parsed.from;
  const integration = object && {
    id: object.integrationId,
    path: ['input', 'from', 'object', 'integrationId'],
  };
  const uploads = uploadId == null ? [] : [{ id: uploadId, path: ['input', 'from', 'uploadId'] }];
  const asked = { ...parsed, integration: integration ?? null, uploads };
  const target = await findTarget(services.db, viewer, asked).catch(async (error: unknown) => {
    const made = error instanceof NotFoundError ? await madeBefore(services.db, viewer, parsed) : null;
    if (made?.taskId) return made.taskId;
    throw error;
  });
  if (typeof target === 'string') return target;
  const key = idempotencyOf(target, parsed);
  const earlier = await usedKey(services.db, key);
  if (earlier?.taskId) return earlier.taskId;
  const source = await sourceOf(services, target, parsed);
  const made = await transaction(services.db, async (tx) => {
    const used = await usedKey(tx, key);
    if (used?.taskId) return { taskId: used.taskId, isNew: false };
    if (!(await keepIndex(tx, target.index.id))) throw new NotFoundError('index', ['input', 'indexId']);
    const [upload] = await useUploads(tx, target.uploads, null);
    const waitingFor = upload === undefined || upload.isComplete ? 'WORKER' : 'UPLOAD';
    const reserved = await reserveOne(tx, target, upload?.length);
    const taskId = await insertTask(tx, target, { input: parsed, source, waitingFor, reserved });
    await useKey(tx, key, { taskId });
    if (waitingFor === 'WORKER')
      await enqueue(tx, transferVideo, { subjectId: taskId, teamId: target.teamId, payload: {} });
    return { taskId, isNew: true };
  });
  if (made.isNew) {
    services.jobs.wake(transferVideo.kind);
    services.changes.announce({ teamId: target.teamId, importId: null });
  }
  return made.taskId;
}

/**
 * Holds an upload token to its upload. Idempotency keys are the team's: they would tell of calls that others have made.
 * @throws {ForbiddenError}
 * @throws {InvalidInputError}
 */
function assertOwnUpload({ uploadToken }: Viewer, { from, idempotencyKey }: CreateTask): void {
  if (uploadToken === undefined) return;
  if (from.uploadId == null) throw new ForbiddenError('WRITE');
  if (idempotencyKey == null) return;
  const message = 'is not for upload tokens: their upload is used once in any case';
  throw new InvalidInputError([{ path: ['input', 'idempotencyKey'], code: 'INVALID', message }]);
}

/** Where the task's video comes from, as its row tells it. */
async function sourceOf(services: Services, target: Target, { from, incremental }: CreateTask) {
  const { object, url } = from;
  const [upload] = target.uploads.values();
  if (upload !== undefined)
    return {
      uploadId: upload.id,
      sourceHash: hashUpload(upload.id),
      bytesTotal: upload.length,
      fileName: fileNameOfUpload(upload.metadata),
    };
  if (object == null) {
    if (url == null) throw new Error('the input names no source');
    return {
      sourceUrl: sealUrl(services.secrets, url, target.teamId),
      sourceHash: hashUrl(url),
      fileName: fileNameOfUrl(new URL(url)),
    };
  }
  const { integration } = target;
  if (integration === null) throw new Error('an object without an integration');
  const source = services.integrationSources.of(integration);
  const sourceHash = hashObject(integration.id, source.place, object.key);
  const file = source.file(object.key);
  const known = { indexId: target.index.id, sourceHash };
  return {
    integrationId: integration.id,
    sourceKey: object.key,
    sourceHash,
    sourceVersion: incremental ? await unchangedVersion(services, file, known) : null,
    fileName: fileNameOf(object.key),
  };
}

/** The last segment of a URL's path, decoded; the host of a URL without any. */
function fileNameOfUrl({ pathname, hostname }: URL): string {
  const name = fileNameOf(decodeSegments(pathname));
  return /[^/]/.test(name) ? name : hostname;
}

function decodeSegments(path: string): string {
  try {
    const decoded = decodeURIComponent(path);
    // What cannot be stored stays encoded.
    return decoded.includes('\0') || !decoded.isWellFormed() ? path : decoded;
  } catch {
    return path;
  }
}

/** As the client has told it with the upload, where it can be one. */
function fileNameOfUpload(metadata: UploadMetadata | null): string {
  const name = text(1, 255).safeParse(fileNameOf(metadata?.filename ?? ''));
  return name.success ? name.data : 'upload';
}

interface NewTask {
  readonly input: CreateTask;
  readonly source: Awaited<ReturnType<typeof sourceOf>>;
  readonly waitingFor: 'WORKER' | 'UPLOAD';
  readonly reserved: Amount;
}

/** A video, whose size is known of an upload only, in bytes; nothing for a team without limits. */
async function reserveOne(tx: Transaction, { teamId }: Target, size?: number): Promise<Amount> {
  const room = await openRoom(tx, teamId);
  if (room === null) return NOTHING;
  const amount = amountOf(null, { videos: 1, size });
  room.takeOrRefuse(amount);
  return amount;
}

async function insertTask(tx: Transaction, target: Target, given: NewTask): Promise<string> {
  const { input, source, waitingFor, reserved } = given;
  const fileName = input.fileName ?? source.fileName;
  const id = uuidv7();
  await tx.insert(tasks).values({
    id,
    teamId: target.teamId,
    indexId: target.index.id,
    ordinal: 0,
    videoId: uuidv7(),
    ...source,
    fileName,
    name: input.name ?? fileName,
    nameGiven: input.name != null,
    description: input.description ?? null,
    metadata: input.metadata ?? null,
    incremental: input.incremental,
    expectedSha256: input.sha256 ?? null,
    waitingFor,
    stages: waitingStages(askedProducts(input, target.index.analyzers)),
    reservedVideos: reserved.videos,
    reservedBytes: reserved.bytes,
    reservedMilliseconds: reserved.milliseconds,
  });
  return id;
}
