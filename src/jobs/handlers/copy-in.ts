import { createHash, type Hash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { StoredPartial } from '../../db/tables/tasks.ts';
import { taskPrefix } from '../../services/end-task.ts';
import { fileOf } from '../../services/task-file.ts';
import { type Copied, rememberPartial, type Transfer } from '../../services/transfer-task.ts';
import { download } from '../../sources/download.ts';
import type { Storage, StorageWriter } from '../../storage/adapter.ts';
import type { ClaimedJob } from '../job.ts';
import { assertPromised } from './assert-promised.ts';
import type { HandlerDeps } from './deps.ts';
import { reportUpload } from './report-upload.ts';
import { takeUpload } from './take-upload.ts';

interface CopyOptions {
  readonly job: ClaimedJob;
  readonly transfer: Transfer;
  readonly signal: AbortSignal;
}

/** What an earlier attempt left, copied into this attempt's own place and hashed again. */
interface Resumed {
  readonly bytes: number;
  readonly version: string;
  readonly hash: Hash;
}

/**
 * Copies the video from its source into a place of this claim's own, hashing on the way, from where an earlier
 * attempt left off if the source still has the same version. An upload is here already, and moved.
 * @throws {SourceError} what the source did wrong
 * @throws {StorageFullError} when there is no room
 * @throws {RuleError} when the bytes are not those that the given SHA-256 promises
 */
export async function copyIn(deps: HandlerDeps, { job, transfer, signal }: CopyOptions): Promise<Copied> {
  const { task, requirements } = transfer;
  if (task.uploadId !== null)
    return await takeUpload(deps, { job, transfer, uploadId: task.uploadId, signal });
  const file = await fileOf(deps.services, task);
  const storageKey = `${taskPrefix(task)}/${job.claim}/original`;
  const writer = await deps.storage.create(storageKey);
  const note = createNotes(deps, job);
  // Only what was noted with its version is of use to a later attempt.
  let isNoted = false;
  try {
    const from = await resumeFrom(deps, { job, transfer, writer, storageKey });
    isNoted = from !== null;
    const { bytes, sha256, version } = await download(file, {
      writer,
      ...(from ? { from } : {}),
      expectedVersion: task.sourceVersion,
      maxBytes: requirements.maxSize,
      signal,
      onVersion: (found) => {
        isNoted = found !== null;
        if (found !== null) note({ key: storageKey, version: found });
      },
      onProgress: (bytesDone, bytesTotal) => report(deps, { job, transfer }, { bytesDone, bytesTotal }),
    });
    assertPromised(task, sha256);
    await writer.commit();
    return { sha256, storageKey, bytes, version };
  } finally {
    // Keeps what is there for a later attempt; nothing is left to do after a commit.
    await (isNoted ? writer.close() : writer.discard());
  }
}

/**
 * Notes what is being copied, one after the other. Without it, a later attempt begins at byte 0: nothing that this one has to
 * wait for, or to fail of.
 */
function createNotes({ services }: HandlerDeps, job: ClaimedJob): (partial: StoredPartial) => void {
  let last: Promise<void> = Promise.resolve();
  return (partial) => {
    last = last
      .then(() => rememberPartial(services, job, partial))
      .catch((error: unknown) =>
        services.log.warn(
          { err: error, taskId: job.subjectId },
          'what is copied was not noted for a later attempt',
        ),
      );
  };
}

/** Takes over what an earlier attempt left, and then has it away: one copy of it is enough. */
async function resumeFrom(
  deps: HandlerDeps,
  {
    job,
    transfer,
    writer,
    storageKey,
  }: Omit<CopyOptions, 'signal'> & { readonly writer: StorageWriter; readonly storageKey: string },
): Promise<Resumed | null> {
  const { partial } = transfer;
  let from: Resumed | null;
  try {
    from = await resume(deps.storage, writer, transfer);
  } catch (error) {
    await writer.discard();
    throw error;
  }
  if (partial === null || from === null) return null;
  await rememberPartial(deps.services, job, { key: storageKey, version: from.version });
  await deps.storage.delete(partial.key.slice(0, partial.key.lastIndexOf('/')));
  return from;
}

async function resume(
  storage: Storage,
  writer: StorageWriter,
  { partial }: Transfer,
): Promise<Resumed | null> {
  if (partial === null) return null;
  const hash = createHash('sha256');
  for await (const chunk of await readEarlier(storage, partial.key)) {
    // A byte stream without an encoding gives buffers.
    hash.update(chunk as Buffer);
    await writer.write(chunk as Buffer);
  }
  return writer.bytes === 0 ? null : { bytes: writer.bytes, version: partial.version, hash };
}

/** What an earlier attempt left: part of the file, or all of it when that attempt ended after its transfer. */
async function readEarlier(storage: Storage, key: string): Promise<AsyncIterable<unknown>> {
  if ((await storage.stat(key)) !== null) return await storage.read(key);
  return (await storage.statPartial(key)) === null ? Readable.from([]) : await storage.readPartial(key);
}

const report = (
  deps: HandlerDeps,
  options: Pick<CopyOptions, 'job' | 'transfer'>,
  { bytesDone, bytesTotal }: { readonly bytesDone: number; readonly bytesTotal: number | null },
): void => {
  const stageFraction = bytesTotal === null || bytesTotal === 0 ? 0 : Math.min(1, bytesDone / bytesTotal);
  reportUpload(deps, options, { stageFraction, bytesDone, bytesTotal });
};
