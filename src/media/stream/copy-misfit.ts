import { AVERROR_EIO, AVERROR_ENOMEM, AVERROR_ENOSPC } from 'node-av/constants';
import { FFmpegError } from 'node-av/lib';

/** Copied tracks that do not fit into an MP4 after all. `streams`: their numbers in the source. */
export class CopyMisfitError extends Error {
  override readonly name = 'CopyMisfitError';
  readonly streams: readonly number[];

  constructor(streams: readonly number[], why: string) {
    super(`What was copied does not fit into an MP4: ${why}.`);
    this.streams = streams;
  }
}

/** Errors of the machine, which say nothing about what was to be written. */
const OF_THE_MACHINE: ReadonlySet<number> = new Set([AVERROR_EIO, AVERROR_ENOMEM, AVERROR_ENOSPC]);

/**
 * Does something for copied tracks.
 * @throws {CopyMisfitError} when FFmpeg refuses it for what the tracks are.
 * @throws {FFmpegError} when the machine is at fault.
 */
export function fitting<T>(streams: readonly number[], what: () => T): T {
  try {
    return what();
  } catch (error) {
    const refused = error instanceof FFmpegError && !OF_THE_MACHINE.has(error.code);
    throw refused && streams.length > 0 ? new CopyMisfitError(streams, error.message) : error;
  }
}
