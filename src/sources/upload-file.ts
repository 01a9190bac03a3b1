import type { Storage } from '../storage/adapter.ts';
import { emptyFile } from './accept.ts';
import { SourceError } from './errors.ts';
import type { ProbedFile } from './source.ts';

interface UploadFileOptions {
  readonly storage: Pick<Storage, 'stat' | 'read'>;
  /** Where the storage has it. */
  readonly key: string;
  /** Whether all of it is there by now. */
  readonly isComplete: () => Promise<boolean>;
}

/** A file that a client has sent, or is sending, to be looked at where it is. */
export function createUploadFile({ storage, key, isComplete }: UploadFileOptions): ProbedFile {
  return {
    origin: 'uploads',
    async open() {
      const stored = (await isComplete()) ? await storage.stat(key) : null;
      if (stored === null)
        throw new SourceError('SOURCE_UNAVAILABLE', 'The upload is not complete yet.', { retryable: true });
      const { size } = stored;
      if (size === 0) throw emptyFile();
      return {
        size,
        version: null,
        contentType: null,
        acceptsRanges: true,
        async read(offset, length, signal) {
          const end = Math.min(offset + length, size) - 1;
          if (end < offset) return new Uint8Array();
          const bytes = await storage.read(key, { start: offset, end });
          const chunks: Uint8Array[] = [];
          try {
            for await (const chunk of bytes) {
              signal.throwIfAborted();
              // A byte stream without an encoding gives buffers.
              chunks.push(chunk as Buffer);
            }
          } finally {
            bytes.destroy();
          }
          return Buffer.concat(chunks);
        },
        close() {},
      };
    },
  };
}
