import { createHash, type Hash } from 'node:crypto';
import { Readable } from 'node:stream';
import { taskPrefix } from '../../services/end-task.ts';
import { fileOf } from '../../services/task-file.ts';
import { type Copied, rememberPartial, type Transfer } from '../../services/transfer-task.ts';
import { download } from '../../sources/download.ts';
import type { Storage, StorageWriter } from '../../storage/adapter.ts';
import type { ClaimedJob } from '../job.ts';
import { assertPromised } from './assert-promised.ts';
import type { HandlerDeps } from './deps.ts';
import { createPartialNotes } from './partial-notes.ts';
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
  const notes = createPartialNotes(deps, job);
  let isCommitted = false;
  // Only what has a version is of use to a later attempt.
  let isOfUse = false;
  try {
    const from = await resumeFrom(deps, { job, transfer, writer, storageKey });
    isOfUse = from !== null;
    const { bytes, sha256, version } = await download(file, {
      writer,
      ...(from ? { from } : {}),
      expectedVersion: task.sourceVersion,
      maxBytes: requirements.maxSize,
      signal,
      onVersion: (found) => {
        isOfUse = found !== null;
        notes.begin(found === null ? null : { key: storageKey, version: found }, from !== null);
      },
      onProgress: (bytesDone, bytesTotal) => {
        notes.progress(bytesDone);
        report(deps, { job, transfer }, { bytesDone, bytesTotal });
      },
    });
    assertPromised(task, sha256);
    await writer.commit();
    isCommitted = true;
    return { sha256, storageKey, bytes, version };
  } finally {
    // Keeps what is there for a later attempt; nothing is left to do after a commit.
    if (!isCommitted) await notes.end();
    await (isOfUse ? writer.close() : writer.discard());
  }
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
