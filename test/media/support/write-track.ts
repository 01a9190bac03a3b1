import { type CodecContext, FFmpegError, type FormatContext } from 'node-av/lib';
import { createTrack } from '../../../src/demo/encode-track.ts';
import type { FrameSource } from '../../../src/demo/pictures.ts';

interface WriteOptions {
  readonly output: FormatContext;
  /** An encoder that is open. */
  readonly context: CodecContext;
  readonly source: FrameSource;
  /** As a display matrix. */
  readonly rotation?: Buffer | null;
}

/** Writes a file of one track, from its header to its end. */
export function writeTrack(path: string, { output, context, source, rotation }: WriteOptions): void {
  const track = createTrack({ output, context, source, ...(rotation ? { rotation } : {}) });
  try {
    FFmpegError.throwIfError(output.openOutputSync(), path);
    FFmpegError.throwIfError(output.writeHeaderSync(), 'header');
    while (track.step());
    FFmpegError.throwIfError(output.writeTrailerSync(), 'trailer');
    output.closeOutputSync();
  } finally {
    track.close();
  }
}
