/** The size of a part, in bytes, as long as so many of them do. */
const PART_BYTES = 8 * 1024 * 1024;
/** The most parts that one object may have. */
const MAX_PARTS = 10_000;
/** Parts on their way at once; one more is being filled. */
const MAX_IN_FLIGHT = 2;
const ROUND_BYTES = 1024 * 1024;

/** Bytes gathered into parts, which are sent while the next is gathered. Its calls are made one after the other. */
export interface Parts {
  /** How many bytes were taken. */
  bytes(): number;
  /** Whether any part was sent: the last one, or the only one, never is before `flush`. */
  isBegun(): boolean;
  /** What is gathered and not sent yet. */
  gathered(): Uint8Array;
  /** Announces the size at the end, in bytes, so that the parts are large enough. */
  expect(totalBytes: number): void;
  /** Takes a chunk; waits while as many parts as may be are on their way. Throws what a part failed of. */
  write(chunk: Uint8Array): Promise<void>;
  /** Sends what is gathered as the last part, and waits until all are there. Throws what a part failed of. */
  flush(): Promise<void>;
  /** Waits until nothing is on its way any more, however that ended. */
  settle(): Promise<void>;
}

/**
 * Makes parts of at least 8 MiB, the last excepted. Memory stays below three parts and a chunk. A failure meets the
 * next call, and all after it.
 * @param send sends a part, numbered from 1 on; the bytes are of use to nobody else until it is done
 */
export function createParts(send: (number: number, bytes: Uint8Array) => Promise<void>): Parts {
  const inFlight = new Set<Promise<void>>();
  /** Buffers of sent parts, to be filled again: memory that is freed comes back too late. */
  const spare: Buffer[] = [];
  let size = PART_BYTES;
  let taken = 0;
  let sent = 0;
  let buffer: Buffer | null = null;
  let filled = 0;
  let failure: { readonly error: unknown } | null = null;

  function assertSound(): void {
    if (failure !== null) throw failure.error;
  }

  /** Sends the gathered bytes once there is a place. */
  async function start(): Promise<void> {
    while (inFlight.size >= MAX_IN_FLIGHT) await Promise.race(inFlight);
    assertSound();
    if (buffer === null) return;
    const part = buffer;
    const bytes = part.subarray(0, filled);
    [buffer, filled] = [null, 0];
    sent += 1;
    const sending: Promise<void> = send(sent, bytes)
      .then(() => void spare.push(part))
      .catch((error: unknown) => {
        failure ??= { error };
      })
      .finally(() => inFlight.delete(sending));
    inFlight.add(sending);
  }

  function nextBuffer(): Buffer {
    const used = spare.pop();
    // Slow: not a slice of a pool that others use.
    return used?.length === size ? used : Buffer.allocUnsafeSlow(size);
  }

  return {
    bytes: () => taken,
    isBegun: () => sent > 0,
    gathered: () => buffer?.subarray(0, filled) ?? new Uint8Array(0),
    expect(totalBytes) {
      size = partSize(totalBytes - taken, MAX_PARTS - sent - 1);
    },
    async write(chunk) {
      assertSound();
      taken += chunk.length;
      let rest = chunk;
      while (rest.length > 0) {
        if (buffer !== null && filled === buffer.length) await start();
        buffer ??= nextBuffer();
        const count = Math.min(rest.length, buffer.length - filled);
        buffer.set(rest.subarray(0, count), filled);
        filled += count;
        rest = rest.subarray(count);
      }
    },
    async flush() {
      assertSound();
      if (filled > 0) await start();
      await Promise.all(inFlight);
      assertSound();
    },
    async settle() {
      await Promise.all(inFlight);
    },
  };
}

/** How large parts have to be so that these bytes fit into that many, in bytes. */
function partSize(bytes: number, parts: number): number {
  const needed = Math.ceil(bytes / Math.max(parts, 1) / ROUND_BYTES) * ROUND_BYTES;
  return Math.max(PART_BYTES, needed);
}
