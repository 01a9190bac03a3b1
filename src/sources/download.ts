import { createHash, type Hash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StorageWriter } from '../storage/adapter.ts';
import { emptyFile } from './accept.ts';
import type { KnownPart } from './download-answer.ts';
import { SourceError } from './errors.ts';
import { unavailable } from './http-errors.ts';
import { createResumeBudget, type ResumeBudget } from './resume-budget.ts';
import type { SourceAnswer, SourceFile } from './source.ts';
import { StallError } from './stall-guard.ts';

export interface DownloadOptions {
  /** Takes the bytes. It is neither committed nor closed here; it is discarded when the file is too large. */
  readonly writer: StorageWriter;
  /** What an earlier download left, the writer being at the same byte and `hash` fed with those bytes. */
  readonly from?: { readonly bytes: number; readonly version: string; readonly hash: Hash } | undefined;
  /**
   * What planning saw, asked for while nothing is here yet. A source that knows by then that it has another version is
   * taken as it is: that counts as the one replacement which a download bears.
   */
  readonly expectedVersion?: string | null | undefined;
  /** The largest file that is taken, in bytes. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  /** Told before the first byte of a version, and so again when the download begins anew. */
  readonly onVersion?: (version: string | null, bytesTotal: number | null) => void;
  /** Told after each chunk; goes back when the download begins anew. */
  readonly onProgress?: (bytesDone: number, bytesTotal: number | null) => void;
}

export interface DownloadedFile {
  readonly bytes: number;
  /** Of all bytes, in hex. */
  readonly sha256: string;
  /** Null if the source tells none. */
  readonly version: string | null;
}

/** Where a download stands; while nothing is here, `version` is the one that is asked for. */
interface Download {
  readonly options: DownloadOptions;
  readonly budget: ResumeBudget;
  hash: Hash;
  bytes: number;
  total: number | null;
  version: string | null;
  /** How often the file turned out to be another one. */
  changes: number;
  /** False once the source answered a request for a part with some other part. */
  trustsRanges: boolean;
}

/**
 * Downloads a file into a writer, hashing it on the way, with memory that does not grow with the file. A cut connection
 * is taken up again at the byte it was cut at, as long as that brings new bytes, and only when the source proves that
 * it sends the rest of the same version; a file that was replaced meanwhile is begun anew once.
 * @throws {SourceError} SOURCE_CHANGED when it is replaced again; VIDEO_FILESIZE_TOO_LARGE as soon as that is known;
 *   VIDEO_FILE_BROKEN when it is empty; what the request ended with otherwise. After a retryable one the writer holds
 *   what came so far.
 * @throws {StorageError} from the writer.
 * @throws the reason of the signal, when it aborts.
 */
export async function download(file: SourceFile, options: DownloadOptions): Promise<DownloadedFile> {
  const { signal } = options;
  const state = startOf(options);
  for (;;) {
    const answered = await file.request(knownOf(state), signal);
    try {
      if (answered.answer.kind === 'COMPLETE') return resultOf(state);
      if (await takeUp(answered, state)) {
        await receive(answered, state);
        return resultOf(state);
      }
    } catch (error) {
      if (isReplacement(error)) {
        await beginAnew(state, { isOther: true });
      } else {
        if (!isCut(error) || !mayResume(state)) throw error;
        await pause(state.budget.delayMs(), signal);
      }
    } finally {
      answered.discard();
    }
  }
}

function startOf(options: DownloadOptions): Download {
  const { from, writer } = options;
  if (writer.bytes !== (from?.bytes ?? 0))
    throw new Error('The writer does not stand where the download begins.');
  return {
    options,
    budget: createResumeBudget(writer.bytes),
    hash: from?.hash ?? createHash('sha256'),
    bytes: writer.bytes,
    total: null,
    version: from?.version ?? options.expectedVersion ?? null,
    changes: 0,
    trustsRanges: true,
  };
}

const knownOf = ({ bytes, version, total }: Download): KnownPart => ({ bytes, version, total });

/** Makes ready for the body of an answer; false if it is of no use, and the whole file is to be asked for. */
async function takeUp({ answer, host }: SourceAnswer, download: Download): Promise<boolean> {
  if (answer.kind === 'COMPLETE') return false;
  if (answer.kind === 'USELESS') {
    if (!download.trustsRanges || download.bytes === 0)
      throw unavailable(`${host} sends only parts of the file.`);
    download.trustsRanges = false;
  }
  const isOther = answer.kind === 'CHANGED' || (answer.kind === 'WHOLE' && answer.isOther);
  if (isOther || (answer.kind !== 'APPEND' && download.bytes > 0)) await beginAnew(download, { isOther });
  if (answer.kind === 'USELESS' || answer.kind === 'CHANGED') return false;
  const isNews =
    answer.version !== download.version || answer.total !== download.total || answer.kind === 'WHOLE';
  download.version = answer.version;
  download.total = answer.total;
  if (answer.total !== null) await assertFits(answer.total, download.options);
  if (isNews) download.options.onVersion?.(answer.version, answer.total);
  return true;
}

async function beginAnew(download: Download, { isOther }: { readonly isOther: boolean }): Promise<void> {
  if (isOther) {
    download.changes += 1;
    if (download.changes > 1) throw changedAgain();
    download.budget.forget();
  }
  await download.options.writer.reset();
  download.hash = createHash('sha256');
  download.bytes = 0;
  download.version = null;
  download.total = null;
}

async function assertFits(bytes: number, { writer, maxBytes }: DownloadOptions): Promise<void> {
  if (bytes <= maxBytes) return writer.expect(bytes);
  await writer.discard();
  throw tooLarge(bytes, maxBytes);
}

async function receive({ body, host }: SourceAnswer, download: Download): Promise<void> {
  const { writer, maxBytes, onProgress } = download.options;
  const { total } = download;
  for await (const chunk of body) {
    const bytes = download.bytes + chunk.length;
    if (total !== null && bytes > total) throw wrongLength('more', host);
    if (bytes > maxBytes) {
      await writer.discard();
      throw tooLarge(bytes, maxBytes);
    }
    const written = writer.write(chunk);
    download.hash.update(chunk); // Meanwhile the disk may work.
    await written;
    download.bytes = bytes;
    onProgress?.(bytes, total);
  }
  if (total !== null && download.bytes < total) throw wrongLength('less', host);
}

function resultOf({ bytes, hash, version }: Download): DownloadedFile {
  if (bytes === 0) throw emptyFile();
  return { bytes, sha256: hash.digest('hex'), version };
}

/** Whether a source saw in the middle of a body that the file is another one by now. Our own last word is final. */
function isReplacement(error: unknown): boolean {
  return error instanceof SourceError && error.code === 'SOURCE_CHANGED' && error.retryable;
}

/** Whether a body ended before its time. A stall is not taken up at once: it has cost its slot enough already. */
function isCut(error: unknown): boolean {
  return (
    error instanceof SourceError &&
    error.code === 'SOURCE_UNAVAILABLE' &&
    error.retryable &&
    !(error instanceof StallError)
  );
}

function mayResume({ trustsRanges, version, bytes, budget }: Download): boolean {
  return trustsRanges && version !== null && budget.spend(bytes);
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  // The timer would reject with an AbortError of its own, and not with the reason.
  await sleep(milliseconds, undefined, { signal }).catch(() => signal.throwIfAborted());
}

const wrongLength = (what: 'more' | 'less', host: string) =>
  unavailable(`${host} sent ${what} than it announced.`, { retryable: true });

const tooLarge = (bytes: number, maxBytes: number) =>
  new SourceError(
    'VIDEO_FILESIZE_TOO_LARGE',
    `The file has ${bytes} bytes or more; at most ${maxBytes} bytes are accepted.`,
    {
      measured: `${bytes} bytes`,
      required: `${maxBytes} bytes`,
    },
  );

const changedAgain = () =>
  new SourceError(
    'SOURCE_CHANGED',
    'The file was replaced twice while it was being read; import it again once it stays the same.',
  );
