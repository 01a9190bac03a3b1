/** No packet came of a stream of sound. */
export class SilentTrackError extends Error {
  override readonly name = 'SilentTrackError';
}
