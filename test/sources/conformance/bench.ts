import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach } from 'vitest';
import { type DownloadedFile, type DownloadOptions, download } from '../../../src/sources/download.ts';
import { createFileStorage } from '../../../src/storage/file.ts';
import { waitFor } from '../../support/wait.ts';
import type { Place, PlaceKind } from './place.ts';

/** How long `data` and `other` are, in bytes; `another` is one shorter. */
export const SIZE = 1_000_003;
export const data = randomBytes(SIZE);
export const other = randomBytes(SIZE);
export const another = randomBytes(SIZE - 1);

/** More than the buffers between two sockets hold: whoever does not read it to its end has to give it up. */
export const large = randomBytes(16 * 1024 * 1024);

/** One that never aborts. */
export const signal = new AbortController().signal;

/** In hex. */
export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export interface FetchOptions extends Partial<Omit<DownloadOptions, 'writer'>> {
  /** What the writer has before the download begins. */
  readonly earlier?: Uint8Array;
  /** Called before each chunk is written, with the number of those before it. */
  readonly onChunk?: (index: number) => Promise<void> | void;
}

export interface Fetched {
  readonly result: DownloadedFile;
  /** How many bytes the writer was given. */
  readonly received: number;
  /** What was told of versions, in turn. */
  readonly versions: readonly (string | null)[];
  /** What the storage has. */
  readonly stored: Buffer;
}

/** What the tests of a place work with. */
export interface Bench {
  /** A new one for each test. */
  readonly place: Place;
  /** Downloads a file into a storage and commits it. Fails as the download does. */
  fetchFile(key: string, options?: FetchOptions): Promise<Fetched>;
  /** The version that opening a file tells. */
  versionOf(key: string): Promise<string>;
}

/** Sets a place up for each test of the current suite, and sees afterwards that nothing of it stays open. */
export function setUp(kind: PlaceKind): Bench {
  let place: Place | undefined;
  let root = '';

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'sluice-conformance-'));
    place = await kind.start();
  });

  afterEach(async () => {
    try {
      await waitFor(() => place?.isIdle(), { what: 'the end of all bodies and files' });
    } finally {
      await place?.close();
      await rm(root, { recursive: true });
    }
  });

  const bench: Bench = {
    get place() {
      if (place === undefined) throw new Error('There is a place within tests only.');
      return place;
    },
    fetchFile: (key, options = {}) => fetchInto(root, bench.place.file(key), options),
    async versionOf(key) {
      const file = await bench.place.file(key).open({ signal });
      file.close();
      if (file.version === null) throw new Error('no version is told');
      return file.version;
    },
  };
  return bench;
}

type File = Parameters<typeof download>[0];

async function fetchInto(
  root: string,
  file: File,
  { earlier, onChunk, ...options }: FetchOptions,
): Promise<Fetched> {
  const storage = createFileStorage({ root });
  const writer = await storage.create('tasks/1/original');
  if (earlier !== undefined) await writer.write(earlier);
  const versions: (string | null)[] = [];
  let chunks = 0;
  let received = 0;
  const watched: DownloadOptions['writer'] = {
    ...writer,
    get bytes() {
      return writer.bytes;
    },
    async write(chunk) {
      await onChunk?.(chunks++);
      received += chunk.length;
      await writer.write(chunk);
    },
  };
  try {
    const result = await download(file, {
      maxBytes: 10 * SIZE,
      signal,
      ...options,
      writer: watched,
      onVersion(version, total) {
        versions.push(version);
        options.onVersion?.(version, total);
      },
    });
    await writer.commit();
    return { result, received, versions, stored: await buffer(await storage.read('tasks/1/original')) };
  } finally {
    await writer.discard();
  }
}
