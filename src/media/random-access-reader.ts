/** A file somewhere else, read piece by piece. */
export interface RandomAccessReader {
  /** Bytes of the whole file. */
  readonly size: number;
  /** Bytes `offset` to `offset + length`, all of them; a shorter answer counts as a truncated source. */
  read(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array>;
}
