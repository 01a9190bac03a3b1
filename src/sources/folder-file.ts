import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { emptyFile } from './accept.ts';
import type { Answer, KnownPart } from './download-answer.ts';
import { assertPlain, findPlainFile, versionOfStats } from './folder-entry.ts';
import { errorOfFolder, leadsOut, missing, replaced } from './folder-errors.ts';
import { isAtOrBelow, joinRaw, pathOf, type RawPath, rawOf, realPathOfHandle } from './folder-path.ts';
import { waitFor } from './folder-wait.ts';
import type { RemoteFile } from './remote-file.ts';
import type { SourceAnswer, SourceFile } from './source.ts';

/** How much is read at once, in bytes. */
const CHUNK_BYTES = 256 * 1024;

export interface FolderFileOptions {
  readonly key: string;
  readonly origin: string;
  /** The folder, for messages. */
  readonly host: string;
  /** Gives the folder's real path, or throws the SourceError that tells why not. */
  readonly resolve: (signal: AbortSignal) => Promise<RawPath>;
}

/** A file that is open and was found to be a plain one below its folder. */
interface Opened {
  /** In bytes. */
  readonly size: number;
  readonly version: string;
  /** Up to `length` bytes from `offset` on: fewer at the end of the file, none behind it. */
  read(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array>;
  /** @throws {SourceError} SOURCE_CHANGED when it is not what was opened any more */
  assertSame(signal: AbortSignal): Promise<void>;
  /** Waits for what still goes on; may be called again. */
  close(): void;
}

/** The file of a key in a folder. */
export function createFolderFile(options: FolderFileOptions): SourceFile {
  return {
    origin: options.origin,
    async open({ signal }) {
      return toRemoteFile(await openFile(options, signal));
    },
    async request(known, signal) {
      const opened = await openFile(options, signal);
      const answer = answerOf(opened, known);
      const hasBody = answer.kind === 'WHOLE' || answer.kind === 'APPEND';
      if (!hasBody) opened.close();
      const from = answer.kind === 'APPEND' ? known.bytes : 0;
      return {
        answer,
        host: options.host,
        body: readBody(opened, { from, signal }),
        discard: opened.close,
      } satisfies SourceAnswer;
    },
  };
}

function answerOf({ size, version }: Opened, known: KnownPart): Answer {
  if (known.version !== null && known.version !== version) return { kind: 'CHANGED' };
  if (known.bytes === 0 || known.version === null)
    return { kind: 'WHOLE', version, total: size, isOther: false };
  return known.bytes === size
    ? { kind: 'COMPLETE' }
    : { kind: 'APPEND', version, total: size, isOther: false };
}

function toRemoteFile(opened: Opened): RemoteFile {
  const { size, version } = opened;
  return {
    size,
    version,
    contentType: null,
    acceptsRanges: true,
    async read(offset, length, signal) {
      const part = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
      for (let filled = 0; filled < part.length; ) {
        const chunk = await opened.read(offset + filled, part.length - filled, signal);
        if (chunk.length === 0) throw replaced();
        part.set(chunk, filled);
        filled += chunk.length;
      }
      await opened.assertSame(signal);
      return part;
    },
    close: opened.close,
  };
}

interface BodyOptions {
  readonly from: number;
  readonly signal: AbortSignal;
}

/** Ends only if the file is still the one that was opened: what was read of it then belongs together. */
async function* readBody(opened: Opened, { from, signal }: BodyOptions): AsyncGenerator<Uint8Array> {
  try {
    for (let at = from; at < opened.size; ) {
      const chunk = await opened.read(at, opened.size - at, signal);
      if (chunk.length === 0) throw replaced();
      at += chunk.length;
      yield chunk;
    }
    await opened.assertSame(signal);
  } finally {
    opened.close();
  }
}

async function openFile(options: FolderFileOptions, signal: AbortSignal): Promise<Opened> {
  const root = await options.resolve(signal);
  const path = joinRaw(root, partsOf(options.key).join('/'));
  return inTime(() => openPlain(root, path), { signal, undo: ({ close }) => close() });
}

/** @throws {SourceError} SOURCE_NOT_FOUND for a key that no file of a folder has */
function partsOf(key: string): string[] {
  const parts = rawOf(key).split('/');
  const isName = (part: string) => part !== '' && part !== '.' && part !== '..' && !part.includes('\0');
  if (!parts.every(isName)) throw missing('file');
  return parts;
}

/**
 * What a path leads to may be another file at any moment, so it is the open file that is judged: whether it is plain, and
 * where it lies.
 */
async function openPlain(root: RawPath, path: RawPath): Promise<Opened> {
  // Only so that no device is opened, which can do something, and no pipe, which somebody waits at.
  const found = await findPlainFile(root, path);
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;
  const handle = await open(pathOf(found.path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  try {
    const stats = await handle.stat({ bigint: true });
    assertPlain(stats);
    const real = await realPathOfHandle(handle, found.path);
    if (real === null || !isAtOrBelow(real, root)) throw leadsOut();
    if (stats.size === 0n) throw emptyFile();
    return toOpened(handle, { size: Number(stats.size), version: versionOfStats(stats) });
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function toOpened(handle: FileHandle, { size, version }: Pick<Opened, 'size' | 'version'>): Opened {
  let isClosed = false;
  return {
    size,
    version,
    read(offset, length, signal) {
      return inTime(
        async () => {
          const chunk = Buffer.allocUnsafeSlow(Math.min(length, CHUNK_BYTES));
          const { bytesRead } = await handle.read(chunk, 0, chunk.length, offset);
          return chunk.subarray(0, bytesRead);
        },
        { signal },
      );
    },
    async assertSame(signal) {
      const stats = await inTime(() => handle.stat({ bigint: true }), { signal });
      if (versionOfStats(stats) !== version) throw replaced();
    },
    close() {
      if (isClosed) return;
      isClosed = true;
      // Nothing was written, so that nothing is lost by an error.
      handle.close().catch(() => {});
    },
  };
}

/** Does something with a file, not beyond an abort, and says in our words what went wrong. */
async function inTime<T>(
  work: () => Promise<T>,
  options: { readonly signal: AbortSignal; readonly undo?: (late: T) => void },
): Promise<T> {
  options.signal.throwIfAborted();
  try {
    return await waitFor(work(), options);
  } catch (error) {
    options.signal.throwIfAborted();
    throw errorOfFolder(error, 'file');
  }
}
