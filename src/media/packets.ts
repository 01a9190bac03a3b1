import { AV_NOPTS_VALUE, AV_PKT_FLAG_CORRUPT, AVERROR_EOF } from 'node-av/constants';
import { Packet, type Stream } from 'node-av/lib';
import type { OpenVideo } from './demux.ts';

/** What the packets read so far tell, in seconds of the file's own clock. */
export interface PacketTimes {
  /** Of the video stream's first picture, and the end of its last; null before any packet. */
  readonly videoStart: number | null;
  readonly videoEnd: number | null;
  /** The end of the last packet of any stream. */
  readonly end: number | null;
  readonly videoPackets: number;
  /** Whether the latest packet is cut short. */
  readonly torn: boolean;
}

export interface PacketReader {
  /**
   * The next packet of the video stream, valid until the next call; null at the end, or where the file
   * cannot be read on.
   */
  next(): Promise<Packet | null>;
  times(): PacketTimes;
  free(): void;
}

/** Seconds of one unit of a stream's clock. */
export function unitOf(stream: Stream): number {
  const { num, den } = stream.timeBase;
  return den > 0 ? num / den : 0;
}

/** Frames a second, or null where no sensible figure is known. */
export function frameRateOf(stream: Stream): number | null {
  for (const { num, den } of [stream.avgFrameRate, stream.rFrameRate]) {
    const rate = den > 0 ? num / den : 0;
    if (rate > 0 && rate <= 1000) return rate;
  }
  return null;
}

/** Reads packets in the order of the file and keeps count of their times. */
export function createPacketReader({ context, stream }: OpenVideo): PacketReader {
  const packet = new Packet();
  packet.alloc();
  const units = context.streams.map(unitOf);
  const video = stream.index;
  const frame = 1 / (frameRateOf(stream) ?? 25);
  let times: PacketTimes = { videoStart: null, videoEnd: null, end: null, videoPackets: 0, torn: false };

  function note(): void {
    const isVideo = packet.streamIndex === video;
    const unit = units[packet.streamIndex] ?? 0;
    const stamp = packet.pts === AV_NOPTS_VALUE ? packet.dts : packet.pts;
    const torn = (packet.flags & AV_PKT_FLAG_CORRUPT) !== 0;
    const videoPackets = times.videoPackets + (isVideo ? 1 : 0);
    times = { ...times, torn, videoPackets };
    if (stamp === AV_NOPTS_VALUE) return;
    const start = Number(stamp) * unit;
    // ASF and live WebM tell no durations: a picture is shown until the next one is due.
    const length = packet.duration > 0n ? Number(packet.duration) * unit : isVideo ? frame : 0;
    times = { ...times, end: Math.max(times.end ?? -Infinity, start + length) };
    if (!isVideo) return;
    times = {
      ...times,
      videoStart: Math.min(times.videoStart ?? Infinity, start),
      videoEnd: Math.max(times.videoEnd ?? -Infinity, start + length),
    };
  }

  return {
    async next() {
      for (;;) {
        packet.unref();
        const code = await context.readFrame(packet);
        if (code < 0) {
          if (code !== AVERROR_EOF) times = { ...times, torn: true };
          return null;
        }
        note();
        if (packet.streamIndex === video) return packet;
      }
    },
    times: () => times,
    free: () => packet.free(),
  };
}
