import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 20;

/**
 * Asks again and again until the answer is something.
 * @param check null, undefined and false mean: not yet
 * @param options.timeout in milliseconds; 60 s unless given, many times what it takes: a machine may be busy
 * @param options.what is being waited for, in the error when it does not come
 */
export async function waitFor<T>(
  check: () => T | Promise<T>,
  { timeout = 60_000, what = 'what was waited for' }: { timeout?: number; what?: string } = {},
): Promise<NonNullable<Exclude<T, false>>> {
  for (const deadline = performance.now() + timeout; ; ) {
    const found = await check();
    // Neither null, undefined nor false: the compiler does not follow that far.
    if (found !== null && found !== undefined && found !== false) return found as never;
    if (performance.now() > deadline) throw new Error(`${what} did not come within ${timeout} ms`);
    await sleep(POLL_MS);
  }
}
