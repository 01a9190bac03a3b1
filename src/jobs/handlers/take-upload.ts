import { createHash } from 'node:crypto';
import { addAbortSignal } from 'node:stream';
import { transaction } from '../../db/transaction.ts';
import { checkSize } from '../../media/requirements.ts';
import { taskPrefix } from '../../services/end-task.ts';
import { RECEIVED_SHARE } from '../../services/stages.ts';
import type { Copied, Transfer } from '../../services/transfer-task.ts';
import { UPLOAD_EXPIRED } from '../../services/upload-chores.ts';
import { readUpload, uploadKey } from '../../services/upload-rows.ts';
import { emptyFile } from '../../sources/accept.ts';
import { SourceError } from '../../sources/errors.ts';
import { type Storage, StorageError } from '../../storage/adapter.ts';
import type { ClaimedJob } from '../job.ts';
import { assertClaim } from '../queue.ts';
import { assertPromised } from './assert-promised.ts';
import type { HandlerDeps } from './deps.ts';
import { reportUpload } from './report-upload.ts';
import { RuleError } from './task-error.ts';

interface TakeOptions {
  readonly job: ClaimedJob;
  readonly transfer: Transfer;
  readonly uploadId: string;
  readonly signal: AbortSignal;
}

/** How often the bytes are looked for anew: a worker that was presumed dead may move them once. */
const MOST_LOOKS = 3;

/**
 * Hashes an upload where it is and moves it into a place of this claim's own, without another copy of it.
 * @throws {RuleError} when it did not come in time, or is not what was promised
 * @throws {SourceError} when its bytes are gone
 * @throws {StorageError}
 */
export async function takeUpload(deps: HandlerDeps, options: TakeOptions): Promise<Copied> {
  const { services } = deps;
  const { job, transfer, uploadId } = options;
  const upload = await readUpload(services.db, uploadId);
  if (upload === null || !upload.isComplete) throw new RuleError(UPLOAD_EXPIRED);
  const { length } = upload;
  if (length === 0) throw emptyFile();
  const violation = checkSize(length, transfer.requirements);
  if (violation) throw new RuleError(violation);
  const storageKey = `${taskPrefix(transfer.task)}/${job.claim}/original`;
  for (let look = 1; ; look += 1) {
    try {
      const from = await find(deps.storage, { uploadId, taskFolder: taskPrefix(transfer.task) });
      const sha256 = await hash(deps, { ...options, from, length });
      assertPromised(transfer.task, sha256);
      // Whoever has the claim by now has to find the bytes where they are.
      await transaction(services.db, (tx) => assertClaim(tx, job));
      await deps.storage.move(from, storageKey);
      return { sha256, storageKey, bytes: length, version: null };
    } catch (error) {
      const isMoved = error instanceof StorageError && error.reason === 'NOT_FOUND';
      if (!isMoved || look >= MOST_LOOKS) throw error;
    }
  }
}

/** Where the bytes are: at the upload's own key, or where an earlier claim of the task has moved them. */
async function find(
  storage: Storage,
  { uploadId, taskFolder }: { readonly uploadId: string; readonly taskFolder: string },
): Promise<string> {
  const key = uploadKey(uploadId);
  if ((await storage.stat(key)) !== null) return key;
  for await (const moved of storage.list(taskFolder)) if (moved.endsWith('/original')) return moved;
  throw new SourceError('SOURCE_NOT_FOUND', 'The upload is not there any more. Send the file again.');
}

async function hash(
  deps: HandlerDeps,
  { from, length, signal, ...options }: TakeOptions & { readonly from: string; readonly length: number },
): Promise<string> {
  const digest = createHash('sha256');
  const bytes = addAbortSignal(signal, await deps.storage.read(from));
  let done = 0;
  try {
    for await (const chunk of bytes) {
      // A byte stream without an encoding gives buffers.
      digest.update(chunk as Buffer);
      done += (chunk as Buffer).length;
      const stageFraction = RECEIVED_SHARE + (1 - RECEIVED_SHARE) * Math.min(1, done / length);
      reportUpload(deps, options, { stageFraction, bytesDone: length, bytesTotal: length });
    }
  } finally {
    bytes.destroy();
  }
  if (done !== length)
    throw new RuleError({
      code: 'VIDEO_FILE_BROKEN',
      message: 'The upload was not stored with the length that was declared. Send the file again.',
      measured: `${done} bytes`,
      required: `${length} bytes`,
    });
  return digest.digest('hex');
}
