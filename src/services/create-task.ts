import { z } from 'zod';
import type { Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { tasks } from '../db/tables/tasks.ts';
import { transaction } from '../db/transaction.ts';
import { transferVideo } from '../jobs/definitions.ts';
import { enqueue } from '../jobs/queue.ts';
import type { Services } from './deps.ts';
import { hashObject, hashUrl } from './entry.ts';
import { NotFoundError } from './errors.ts';
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
import type { Viewer } from './viewer.ts';

const createTaskInput = z.object({
  // The schema has seen to it that exactly one is there.
  from: z.object({
    url: z.string().pipe(videoUrl).nullish(),
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
 * @throws {IdempotencyConflictError} when the idempotency key was used with another input
 */
export async function createTask(services: Services, viewer: Viewer, input: unknown): Promise<string> {
  const parsed = parseInput(createTaskInput, 'input', input);
  const { object } = parsed.from;
  const integration = object && {
    id: object.integrationId,
    path: ['input', 'from', 'object', 'integrationId'],
  };
  const asked = { ...parsed, integration: integration ?? null };
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
    const reserved = await reserveOne(tx, target);
    const taskId = await insertTask(tx, target, { input: parsed, source, reserved });
    await useKey(tx, key, { taskId });
    await enqueue(tx, transferVideo, { subjectId: taskId, teamId: target.teamId, payload: {} });
    return { taskId, isNew: true };
  });
  if (made.isNew) {
    services.jobs.wake(transferVideo.kind);
    services.changes.announce({ teamId: target.teamId, importId: null });
  }
  return made.taskId;
}

/** Where the task's video comes from, as its row tells it. */
async function sourceOf(services: Services, target: Target, { from, incremental }: CreateTask) {
  const { object, url } = from;
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

/** A video whose size nobody knows yet; nothing for a team without limits. */
async function reserveOne(tx: Transaction, { teamId }: Target): Promise<Amount> {
  const room = await openRoom(tx, teamId);
  if (room === null) return NOTHING;
  const amount = amountOf(null, { videos: 1 });
  room.takeOrRefuse(amount);
  return amount;
}

async function insertTask(
  tx: Transaction,
  target: Target,
  given: {
    readonly input: CreateTask;
    readonly source: Awaited<ReturnType<typeof sourceOf>>;
    readonly reserved: Amount;
  },
): Promise<string> {
  const { input, source, reserved } = given;
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
    waitingFor: 'WORKER',
    stages: waitingStages(),
    reservedVideos: reserved.videos,
    reservedBytes: reserved.bytes,
    reservedMilliseconds: reserved.milliseconds,
  });
  return id;
}
