import type { FileHandle } from 'node:fs/promises';

/** The file as a child sees it: bytes at any place. */
export interface ByteSource {
  /** Bytes of the whole file. */
  readonly size: number;
  /** Whether reading costs requests to another machine: then no more is read than the verdict takes. */
  readonly remote: boolean;
  /** 1 to `length` bytes from `offset`; none at or past the end. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** What is asked for in fewer bytes is the header of a box or the like, and the next ones lie close behind. */
const SMALL_READ = 1024;
const WINDOW = 16 * 1024;

/** A local file, opened by the caller, which does not change meanwhile. */
export async function createFileSource(handle: FileHandle): Promise<ByteSource> {
  const { size } = await handle.stat();
  let window: Block = { start: 0, end: 0, data: new Uint8Array(0) };
  const load = async (offset: number, length: number): Promise<Uint8Array> => {
    const buffer = Buffer.allocUnsafe(length);
    const { bytesRead } = await handle.read(buffer, 0, length, offset);
    return buffer.subarray(0, bytesRead);
  };
  return {
    size,
    remote: false,
    async read(offset, length) {
      const wanted = Math.min(length, size - offset);
      if (wanted <= 0) return new Uint8Array(0);
      if (wanted > SMALL_READ) return await load(offset, wanted);
      if (offset < window.start || offset + wanted > window.end) {
        const data = await load(offset, Math.min(WINDOW, size - offset));
        window = { start: offset, end: offset + data.length, data };
      }
      return window.data.subarray(offset - window.start, offset - window.start + wanted);
    },
  };
}

export interface RemoteSourceOptions {
  readonly size: number;
  /** Fetches exactly `length` bytes from `offset`. */
  readonly fetch: (offset: number, length: number) => Promise<Uint8Array>;
}

const GRID = 64 * 1024;
const FIRST_FETCH = 256 * 1024;
const LARGEST_FETCH = 1024 * 1024;

interface Block {
  readonly start: number;
  readonly end: number;
  readonly data: Uint8Array;
}

/**
 * A file elsewhere, read in blocks that are kept. A block that goes on where the latest one ended is twice
 * as long, up to 1 MiB; a jump starts small again: a header at the front, an index at the end and the first
 * pictures take two to four requests.
 */
export function createRemoteSource({ size, fetch }: RemoteSourceOptions): ByteSource {
  const blocks: Block[] = [];
  let latestEnd = -1;
  let latestLength = 0;

  function plan(offset: number): { start: number; end: number } {
    const start = Math.max(
      offset - (offset % GRID),
      ...blocks.filter((block) => block.end <= offset).map((block) => block.end),
    );
    const follows = start === latestEnd;
    const length = follows ? Math.min(latestLength * 2, LARGEST_FETCH) : FIRST_FETCH;
    const next = Math.min(
      size,
      ...blocks.filter((block) => block.start > offset).map((block) => block.start),
    );
    // The last bit before a neighbour or the end comes along: it would cost a request of its own.
    const end = next - start <= length + GRID ? next : start + length;
    latestEnd = end;
    latestLength = length;
    return { start, end };
  }

  return {
    size,
    remote: true,
    async read(offset, length) {
      if (offset >= size || length <= 0) return new Uint8Array(0);
      let block = blocks.find((known) => known.start <= offset && offset < known.end);
      if (!block) {
        const { start, end } = plan(offset);
        block = { start, end, data: await fetch(start, end - start) };
        blocks.push(block);
      }
      const from = offset - block.start;
      return block.data.subarray(from, Math.min(from + length, block.data.length));
    },
  };
}

/** Exactly `length` bytes from `offset`, or as many as the file has there. */
export async function readFully(source: ByteSource, offset: number, length: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let got = 0;
  while (got < length) {
    const part = await source.read(offset + got, length - got);
    if (part.length === 0) break;
    parts.push(part);
    got += part.length;
  }
  return Buffer.concat(parts);
}
