/** A file that is no MP4 of the simple kind that can be cut along its sample tables; FFmpeg may still read it. */
export class NotPlainError extends Error {
  override readonly name = 'NotPlainError';
}
