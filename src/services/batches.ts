/** How many rows go in one transaction. */
export const BATCH = 1000;

/**
 * Removes rows until fewer than a batch are found.
 * @param remove removes one batch, and gives how many rows it removed
 * @returns how many it were in all
 * @throws the signal's reason when it is aborted
 */
export async function inBatches(signal: AbortSignal, remove: () => Promise<number>): Promise<number> {
  for (let sum = 0; ; ) {
    signal.throwIfAborted();
    const count = await remove();
    sum += count;
    if (count < BATCH) return sum;
  }
}
