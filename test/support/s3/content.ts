import { createReadStream, readFileSync } from 'node:fs';

/** The bytes of an object or a part, wherever they are. */
export interface Content {
  /** In bytes. */
  readonly size: number;
  /** From `start` to before `end`. */
  read(start: number, end: number): AsyncIterable<Uint8Array>;
  all(): Buffer;
}

const CHUNK_BYTES = 64 * 1024;

export function bytesContent(bytes: Uint8Array): Content {
  return {
    size: bytes.length,
    async *read(start, end) {
      if (end > start) yield bytes.subarray(start, end);
    },
    all: () => Buffer.from(bytes),
  };
}

/** A file that nothing changes any more. */
export function fileContent(path: string, size: number): Content {
  return {
    size,
    async *read(start, end) {
      // `end` of a stream is the last byte itself; without any there is nothing to open.
      if (end > start) yield* createReadStream(path, { start, end: end - 1 });
    },
    all: () => readFileSync(path),
  };
}

/** The parts one behind the other, without copying them. */
export function joinedContent(parts: readonly Content[]): Content {
  return {
    size: parts.reduce((sum, part) => sum + part.size, 0),
    async *read(start, end) {
      let from = 0;
      for (const part of parts) {
        const first = Math.max(start - from, 0);
        const last = Math.min(end - from, part.size);
        if (first < last) yield* part.read(first, last);
        from += part.size;
      }
    },
    all: () => Buffer.concat(parts.map((part) => part.all())),
  };
}

/** Made when it is read; zeros if `make` is not given. */
export function madeContent(size: number, make: (() => Uint8Array) | undefined): Content {
  const made = () => {
    const bytes = make?.() ?? new Uint8Array(size);
    if (bytes.length !== size) throw new Error(`a virtual object of ${size} bytes made ${bytes.length}`);
    return bytes;
  };
  return {
    size,
    async *read(start, end) {
      if (make !== undefined) yield made().subarray(start, end);
      else
        for (let at = start; at < end; at += CHUNK_BYTES)
          yield new Uint8Array(Math.min(CHUNK_BYTES, end - at));
    },
    all: () => Buffer.from(made()),
  };
}
