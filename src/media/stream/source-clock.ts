import { AV_NOPTS_VALUE } from 'node-av/constants';
import type { Packet, Rational } from 'node-av/lib';

/** A larger jump of a broadcast's clock is one of the clock, and not of what it shows. */
const LARGEST_JUMP_SECONDS = 10;

/** Moves the times of packets so that the presentation starts at 0 and goes on where a broadcast's clock jumps. */
export interface SourceClock {
  /** Moves a packet's times, in its stream's own unit. */
  shift(packet: Packet, unit: Rational): void;
}

export interface SourceClockOptions {
  /** Seconds on the file's own clock that become 0. */
  readonly origin: number;
  /** Whether the clock of this kind of container may begin anew in the middle of a file. */
  readonly mayJump: boolean;
}

/** Made for one reading of a file, all streams of which share one clock. */
export function createSourceClock({ origin, mayJump }: SourceClockOptions): SourceClock {
  let offset = -origin;
  /** Where the next packet of each stream is due, on the file's own clock. */
  const due = new Map<number, number>();

  function followJump(packet: Packet, seconds: number): void {
    if (packet.dts === AV_NOPTS_VALUE) return;
    const at = Number(packet.dts) * seconds;
    const expected = due.get(packet.streamIndex);
    if (expected !== undefined && Math.abs(at - expected) > LARGEST_JUMP_SECONDS) {
      offset -= at - expected;
      // The other streams jump by the same, and are not to be moved once more.
      for (const [stream, time] of due) due.set(stream, time + at - expected);
    }
    due.set(packet.streamIndex, at + Number(packet.duration) * seconds);
  }

  return {
    shift(packet, { num, den }) {
      if (mayJump) followJump(packet, num / den);
      const ticks = BigInt(Math.round((offset * den) / num));
      if (packet.pts !== AV_NOPTS_VALUE) packet.pts += ticks;
      if (packet.dts !== AV_NOPTS_VALUE) packet.dts += ticks;
    },
  };
}
