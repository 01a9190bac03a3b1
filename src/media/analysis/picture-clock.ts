import { AV_NOPTS_VALUE, AV_PKT_FLAG_DISCARD } from 'node-av/constants';
import type { Frame, Packet } from 'node-av/lib';

/** What is known of a stream's times before its first packet. */
export interface ClockOptions {
  /** Seconds of one unit of the stream's clock. */
  readonly unit: number;
  /** Seconds that one picture is shown, on average. */
  readonly frame: number;
  /** Seconds from the first picture to the end of the last. */
  readonly duration: number;
}

/** Tells when pictures are shown. */
export interface PictureClock {
  /** Takes note of each packet before its picture is decoded: the earliest tells when the file begins. */
  note(packet: Packet): void;
  /** Seconds from the first picture of the file; more for each picture than for the one before. */
  at(picture: Frame): number;
}

/** Two pictures are never closer than this, in seconds. */
const LEAST_STEP = 0.001;
/** A jump of a stream's clock is more than a few pictures in the wrong order, in seconds. */
const JUMP = 1;

/**
 * Makes sense of time stamps: they may begin anywhere, be missing, repeat themselves, or jump back to the
 * beginning or far ahead in the middle of a stream. After a jump the next picture follows the last one.
 */
export function createPictureClock({ unit, frame, duration }: ClockOptions): PictureClock {
  let earliest = Number.POSITIVE_INFINITY;
  let origin: number | null = null;
  let shift = 0;
  let last = -frame;

  function follow(stamp: number): number {
    const told = stamp + shift;
    const jumped = told < last - JUMP || told > Math.max(duration, last) + JUMP;
    if (jumped) shift += last + frame - told;
    return Math.max(stamp + shift, last + LEAST_STEP);
  }

  return {
    note(packet) {
      // What an edit list cuts off is in the file, and never shown.
      if (origin !== null || (packet.flags & AV_PKT_FLAG_DISCARD) !== 0) return;
      if (packet.pts !== AV_NOPTS_VALUE) earliest = Math.min(earliest, Number(packet.pts) * unit);
    },
    at(picture) {
      const stamp = picture.bestEffortTimestamp;
      const told = stamp === AV_NOPTS_VALUE ? null : Number(stamp) * unit;
      if (origin === null && told !== null) origin = Math.min(earliest, told);
      const at = told === null || origin === null ? last + frame : follow(told - origin);
      last = Math.max(0, at);
      return last;
    },
  };
}
