import type { Readable } from 'node:stream';

/**
 * Where bytes are kept. A key is a path of our own making (`teams/<team>/tasks/<task>/<claim>/original`), never a
 * name that a user chose: segments of `A-Z a-z 0-9 . _ -`, parted by `/`. Every method throws StorageError for a key
 * that is none, and StorageFullError where there is no room left.
 */
export interface Storage {
  /** Opens a key for writing; nothing is at the key before `commit`. What an earlier write left unfinished there goes. */
  create(key: string): Promise<StorageWriter>;
  /** Size in bytes and time of the commit; null if nothing was committed at this key. */
  stat(key: string): Promise<StoredObject | null>;
  /** The bytes of a key, or those of a range. Throws StorageError with reason NOT_FOUND. */
  read(key: string, range?: ByteRange): Promise<Readable>;
  /**
   * A URL at which the store itself gives the bytes of a key to whoever has it, until a time and for a week at most, as a
   * media type and with a Content-Disposition; null for a store that cannot. Whether anything is there is not asked.
   */
  presign(
    key: string,
    options: { readonly until: Date; readonly mimeType: string; readonly disposition: string },
  ): Promise<string | null>;
  /** How many bytes an unfinished write left at this key; null if there is none, or perhaps if it has no bytes. */
  statPartial(key: string): Promise<{ readonly size: number } | null>;
  /**
   * The bytes that an unfinished write left, where nothing was committed. It may end that write for good: a writer that
   * still lives fails, and the bytes may be at the key from then on as if they were all of it. So it is only for a
   * key whose write is known to be over, and that is deleted afterwards. Throws StorageError with reason NOT_FOUND.
   */
  readPartial(key: string): Promise<Readable>;
  /**
   * Lets what was committed at one key be at another instead, by a rename or a copy within the store: whoever dies of it leaves
   * all the bytes at one of the two keys, or at both. Throws StorageError with reason NOT_FOUND.
   */
  move(from: string, to: string): Promise<void>;
  /** How many bytes more may be stored, what is kept in reserve left out; null for a store without such a bound. */
  availableBytes(): Promise<number | null>;
  /** Removes a key and everything below it, finished or not. Nothing there is no error. */
  delete(prefix: string): Promise<void>;
  /** The keys below a prefix, in no order; with `partials` also those that hold only an unfinished write. */
  list(prefix: string, options?: { readonly partials?: boolean }): AsyncIterable<string>;
  /**
   * Calls `fn` with the path of a local file that holds the bytes of the key, and answers what it answers. The file
   * is to be read only, and is there until `fn` is done. Throws StorageError with reason NOT_FOUND.
   */
  withLocalFile<T>(
    key: string,
    fn: (path: string) => Promise<T>,
    options: { readonly signal: AbortSignal },
  ): Promise<T>;
  /**
   * Calls `fn` with the path of an empty local folder, for our own user only, and answers what it answers. The folder is removed
   * when `fn` is done, however that ended; one whose process died is removed by later calls and by `sweepUnfinished`. The
   * signal aborts when the volume runs full meanwhile. Throws StorageFullError when there is no room, or none was left.
   */
  withWorkFolder<T>(fn: (path: string, signal: AbortSignal) => Promise<T>): Promise<T>;
  /**
   * Makes a local file the object at a key, durable as after a commit; the local file is gone then. After a failure it is
   * whole at one of the two, or at both. Throws StorageError with reason NOT_FOUND for what is no plain file of one name.
   */
  adopt(localPath: string, key: string): Promise<void>;
  /**
   * As `adopt`, for all files below a local folder: each is at the prefix, a slash and its path below the folder. Nothing is
   * adopted when the name of one is none for a key; after any other failure some may be, so the prefix is to be deleted.
   */
  adoptFolder(localFolder: string, prefix: string): Promise<void>;
  /** Writes and removes a small file. Throws StorageFullError or StorageError if that is not possible. */
  checkWritable(): Promise<void>;
  /**
   * Removes what unfinished writes left that began, or last got something, before a time: the store knows one of both.
   * That has to be so long ago that nobody needs them any more. What cannot be removed is left to the next sweep.
   * @returns how many were removed
   */
  sweepUnfinished(olderThan: Date): Promise<number>;
}

/** One write of one key. Its calls are made one after the other; it must be ended by commit, close or discard. */
export interface StorageWriter {
  /** How many bytes were taken so far. */
  readonly bytes: number;
  /** Announces the size at the end, in bytes. Throws StorageFullError at once if that cannot fit. */
  expect(totalBytes: number): Promise<void>;
  /** Takes a chunk, waiting while the store is behind. The chunk must not be changed afterwards. */
  write(chunk: Uint8Array): Promise<void>;
  /** Throws away what was written and begins again at byte 0. */
  reset(): Promise<void>;
  /** Makes the bytes durable and lets them appear at the key, all at once. */
  commit(): Promise<void>;
  /** Ends the write and keeps its bytes for `readPartial`. Does nothing after a commit or another end. */
  close(): Promise<void>;
  /** Ends the write and removes its bytes, also after a commit that failed. Does nothing after one that did not. */
  discard(): Promise<void>;
}

export interface StoredObject {
  /** In bytes. */
  readonly size: number;
  readonly modifiedAt: Date;
}

/** Positions of bytes, both inclusive, as in an HTTP Range. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export type StorageErrorReason = 'NOT_FOUND' | 'INVALID_KEY' | 'FULL' | 'UNAVAILABLE';

/** The store cannot do what was asked. */
export class StorageError extends Error {
  override readonly name: string = 'StorageError';
  readonly reason: StorageErrorReason;

  constructor(reason: StorageErrorReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** There is no room left: the volume or its quota is full, or what is left is kept in reserve. */
export class StorageFullError extends StorageError {
  override readonly name: string = 'StorageFullError';

  constructor(options?: ErrorOptions) {
    super('FULL', 'The storage is full; free some space and the work goes on.', options);
  }
}
