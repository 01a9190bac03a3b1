/** What can be wrong with a file for good. */
export type MediaRejectionCode = 'UNSUPPORTED_MEDIA_TYPE' | 'VIDEO_FILE_BROKEN';

/** A verdict about the file: trying again would end the same way. The message is a sentence for a person. */
export class MediaRejectedError extends Error {
  override readonly name = 'MediaRejectedError';
  readonly code: MediaRejectionCode;

  constructor(code: MediaRejectionCode, message: string) {
    super(message);
    this.code = code;
  }
}

export type MediaProcessFailure = 'CRASHED' | 'TIMEOUT' | 'OUT_OF_MEMORY';

/** The child process died, or had to be killed, while it served this call. */
export class MediaProcessError extends Error {
  override readonly name = 'MediaProcessError';
  readonly reason: MediaProcessFailure;

  constructor(reason: MediaProcessFailure, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** A remote file could not be judged by the part of it that may be read ahead of its transfer. */
export class MediaUndecidedError extends Error {
  override readonly name = 'MediaUndecidedError';
}

/**
 * The verdict on a container that is accepted and cannot be read or decoded. `what` goes on after "Cannot
 * read video file: ".
 */
export function broken(what: string): MediaRejectedError {
  return new MediaRejectedError(
    'VIDEO_FILE_BROKEN',
    `Cannot read video file: ${what}. Please check the video file is valid and try again.`,
  );
}

/**
 * The verdict on what is no video, or none of an accepted kind. `what` goes on after "Unsupported media
 * type: ".
 */
export function unsupported(what: string): MediaRejectedError {
  return new MediaRejectedError(
    'UNSUPPORTED_MEDIA_TYPE',
    `Unsupported media type: ${what}. Please use a video file in a common format such as MP4, MOV, WebM or MKV.`,
  );
}

/** There was no room for what was being made of a file: nothing is wrong with the file. */
export class MediaNoRoomError extends Error {
  override readonly name = 'MediaNoRoomError';
}
