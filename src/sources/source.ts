import type { Answer, KnownPart } from './download-answer.ts';
import type { SourceError } from './errors.ts';
import type { RemoteFile } from './remote-file.ts';

/** One video file where it comes from: looked at by parts while planning, then read whole. */
export interface SourceFile {
  /** What it shares with the other files of its place (the origin of a URL, an integration): they are asked by a few at once. */
  readonly origin: string;
  /**
   * Opens it to read parts. One that still is `knownVersion` need not be readable: its version alone is of interest.
   * @param options.firstBytes how much the first request asks for, where there are requests; 64 KiB
   * @throws {SourceError} when the source refuses it, or does not answer
   */
  open(options: {
    readonly knownVersion?: string | null;
    readonly firstBytes?: number | undefined;
    readonly signal: AbortSignal;
  }): Promise<RemoteFile>;
  /**
   * Asks for the bytes behind those that are known, of the version that is known; for all of it where nothing is.
   * @throws {SourceError} when the source refuses it, or does not answer
   */
  request(known: KnownPart, signal: AbortSignal): Promise<SourceAnswer>;
}

/** What planning needs of a file. */
export type ProbedFile = Pick<SourceFile, 'origin' | 'open'>;

/** What a source answers to a request for bytes. */
export interface SourceAnswer {
  readonly answer: Answer;
  /** The host, bucket or folder, for messages. */
  readonly host: string;
  /**
   * Fails with a retryable SourceError when it is cut, with SOURCE_CHANGED when the file is another one by now, and with the
   * signal's reason when that aborts.
   */
  readonly body: AsyncIterable<Uint8Array>;
  /** Gives the body up, read or not. */
  discard(): void;
}

/** One object of a listing. */
export interface ListedObject {
  /** As the source names it; below a folder the path with `/`. Well-formed and without U+0000. */
  readonly key: string;
  /** In bytes. */
  readonly size: number;
  /** What `RemoteFile.version` and a download tell of the same bytes; null if the listing does not tell. */
  readonly version: string | null;
  /** Why it cannot come in, where the listing tells that: a link that leads out, a special file, an archived object. */
  readonly refusal?: SourceError;
}

export interface ListingPage {
  readonly objects: readonly ListedObject[];
  /** Where the next page begins, to be handed to `list` by any process, also days later; null: this was the last. */
  readonly next: string | null;
}

/** A place that holds many files, set up once: a bucket or a folder. */
export interface ObjectSource {
  /**
   * Sees whether it can be listed, as setting it up has to.
   * @throws {SourceError} with a message that says what is wrong and what to do
   */
  check(signal: AbortSignal): Promise<void>;
  /**
   * Lists a page of at most 1,000 objects, each object once over all pages.
   * @param options.prefix of the keys; null: all that the source holds
   * @param options.position what the page before gave as `next`; null: the beginning
   * @throws {SourceError}
   */
  list(options: {
    readonly prefix: string | null;
    readonly position: string | null;
    readonly signal: AbortSignal;
  }): Promise<ListingPage>;
  /** The file of a key; whether there is one shows when it is opened. */
  file(key: string): SourceFile;
  /** What it holds files as: the same for the same place, and other for any other. Part of what a known version is known by. */
  readonly place: string;
}
