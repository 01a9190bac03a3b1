import { statfs } from 'node:fs/promises';
import { StorageFullError } from './adapter.ts';

const MAX_RESERVE_BYTES = 1024 ** 3;
const MAX_RESERVE_SHARE = 0.05;

/** Keeps a volume from filling up to the last byte, which databases and logs on it do not survive. */
export interface SpaceGuard {
  /** How many bytes fit above the reserve, what is booked counted as free; below 0 where the reserve is touched already. */
  availableBytes(): Promise<number>;
  /** Throws StorageFullError unless `bytes` more fit above the reserve. */
  assertRoom(bytes: number): Promise<void>;
  /**
   * As `assertRoom`, and keeps what the writer has not written yet from others that ask, until it is released: writers
   * that begin together would otherwise all run out of space half-way.
   */
  book(booking: Booking): Promise<void>;
  release(booking: Booking): void;
}

/** The bytes that a writer has still to write. */
interface Booking {
  remaining(): number;
}

export interface SpaceGuardOptions {
  /** Absolute path of a folder on the volume. */
  readonly root: string;
  /** In bytes; 1 GiB, or 5 % of a small volume, unless given. */
  readonly reserveBytes?: number | undefined;
}

/** Makes the guard of one volume. Bookings are known to this process only. */
export function createSpaceGuard({ root, reserveBytes }: SpaceGuardOptions): SpaceGuard {
  const bookings = new Set<Booking>();

  async function availableBytes(): Promise<number> {
    const { bavail, blocks, bsize } = await statfs(root);
    const reserve = reserveBytes ?? Math.min(MAX_RESERVE_BYTES, blocks * bsize * MAX_RESERVE_SHARE);
    return bavail * bsize - reserve;
  }

  return {
    availableBytes,
    async assertRoom(bytes) {
      if ((await availableBytes()) < bytes) throw new StorageFullError();
    },
    async book(booking) {
      const available = await availableBytes();
      bookings.delete(booking);
      const booked = [...bookings].reduce((sum, other) => sum + other.remaining(), 0);
      if (available - booked < booking.remaining()) throw new StorageFullError();
      bookings.add(booking);
    },
    release(booking) {
      bookings.delete(booking);
    },
  };
}
