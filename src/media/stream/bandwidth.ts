import { type Segment, targetDuration } from './media-playlist.ts';

/** Bits a second. */
export interface Bandwidth {
  readonly peak: number;
  readonly average: number;
}

/**
 * What playing takes (RFC 8216, 4.1): the average, and the most that segments behind one another take which last
 * between half and one and a half of the target duration together.
 */
export function measureBandwidth(segments: readonly Segment[]): Bandwidth {
  const target = targetDuration(segments);
  const average = rateOf(segments);
  let peak = average;
  for (const first of segments.keys()) {
    let [duration, bytes] = [0, 0];
    for (let index = first; index < segments.length; index++) {
      duration += segments[index]?.duration ?? 0;
      bytes += segments[index]?.bytes ?? 0;
      if (duration > 1.5 * target) break;
      if (duration >= 0.5 * target) peak = Math.max(peak, Math.ceil((bytes * 8) / duration));
    }
  }
  return { peak, average };
}

function rateOf(segments: readonly Segment[]): number {
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  const duration = segments.reduce((sum, segment) => sum + segment.duration, 0);
  return Math.max(1, Math.ceil((bytes * 8) / Math.max(duration, 0.001)));
}
