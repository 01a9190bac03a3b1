import type { ObjectSource, SourceFile } from '../../../src/sources/source.ts';

/** Somewhere that files come from, with a hand on the other side of it. */
export interface Place {
  /** Puts a file there, or another one in its place. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  file(key: string): SourceFile;
  /** Lets every body that begins from now on end after so many bytes; null: none any more. */
  cutAfter(bytes: number | null): void;
  /** Whether nothing of it is open any more: no body under way, no file. */
  isIdle(): Promise<boolean>;
  /** What lists it; null if files are found one by one. */
  readonly listing: Listing | null;
  close(): Promise<void>;
}

export interface Listing {
  /** A new one each time, as another process would have it. */
  source(): ObjectSource;
  /** Of a place like this that is not there. */
  missing(): ObjectSource;
}

/** Whether a key can be a path below a folder: without empty names and ways up, and no name longer than 255 bytes. */
export const isPath = (key: string): boolean =>
  key
    .split('/')
    .every((name) => name !== '' && name !== '.' && name !== '..' && Buffer.byteLength(name) <= 255);

/** A kind of place. */
export interface PlaceKind {
  readonly name: string;
  start(): Promise<Place>;
  /** Whether a body can be made to end early, or to be that of a changed file. */
  readonly canBreak: boolean;
  /** Whether it tells with the first byte that the file is not of the version that was expected. */
  readonly judgesFirst: boolean;
  readonly lists: boolean;
  /** Whether it goes on with a listing that has more than one page. */
  readonly pages: boolean;
  /** Whether it tells that a file is empty, asked for the beginning of it. */
  readonly tellsEmpty: boolean;
  /** Keys of all kinds that it can hold. */
  readonly keys: readonly string[];
}
