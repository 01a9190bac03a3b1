import { setImmediate as nextTurn } from 'node:timers/promises';
import { AV_NOPTS_VALUE } from 'node-av/constants';
import { Packet, type Rational, type Stream } from 'node-av/lib';
import type { OpenVideo } from '../demux.ts';
import { unitOf } from '../packets.ts';
import { createSourceClock } from './source-clock.ts';
import type { SourceTrack } from './source-track.ts';

/** A stream and what its packets go to. */
export interface PumpedTrack {
  readonly stream: Stream;
  readonly work: SourceTrack;
  /** Whether the packets go on as they are: those of pictures from the first key packet on. */
  readonly copies: boolean;
}

export interface PumpOptions {
  /** A stream may have several. */
  readonly tracks: readonly PumpedTrack[];
  /** Seconds of the source's clock that become 0. */
  readonly origin: number;
  /** Whether what ends before the origin is left out. */
  readonly trimsStart: boolean;
  readonly onProgress: (fraction: number) => void;
}

/** Broadcasts, whose clock may begin anew. */
const MAY_JUMP: ReadonlySet<string> = new Set(['mpegts', 'mpeg']);
/** The event loop has a turn so often, so that progress leaves the process. */
const TURN_MS = 50;

/** Reads a file to its end, or as far as it can be read, and hands each packet to the tracks of its stream. */
export async function pumpPackets(video: OpenVideo, options: PumpOptions): Promise<void> {
  const { context } = video;
  const lanes = createLanes(video, options);
  const clock = createSourceClock({ origin: options.origin, mayJump: MAY_JUMP.has(video.demuxer) });
  const progress = createProgress(Number(context.duration) / 1e6, options.onProgress);
  const packet = new Packet();
  packet.alloc();
  let turnAt = performance.now() + TURN_MS;
  try {
    // Whatever ends it, the end of the file or damage: what was read so far is what can be shown.
    while (context.readFrameSync(packet) >= 0) {
      const lane = lanes.get(packet.streamIndex);
      if (lane) {
        clock.shift(packet, lane.unit);
        progress.note(packet, lane.seconds);
        if (!lane.isSkipped(packet)) lane.take(packet);
      }
      packet.unref();
      if (performance.now() < turnAt) continue;
      progress.report();
      await nextTurn();
      turnAt = performance.now() + TURN_MS;
    }
    for (const { work } of options.tracks) work.end();
  } finally {
    packet.free();
  }
}

/** All that is made of one stream. */
interface Lane {
  readonly unit: Rational;
  readonly seconds: number;
  isSkipped(packet: Packet): boolean;
  take(packet: Packet): void;
}

function createLanes({ stream: shown }: OpenVideo, options: PumpOptions): ReadonlyMap<number, Lane> {
  const streams = new Map(options.tracks.map(({ stream }) => [stream.index, stream]));
  const lanes = new Map<number, Lane>();
  for (const [index, stream] of streams) {
    const tracks = options.tracks.filter((track) => track.stream.index === index);
    const seconds = unitOf(stream);
    const trims = options.trimsStart && index !== shown.index;
    lanes.set(index, {
      unit: stream.timeBase,
      seconds,
      isSkipped: (packet) => trims && packet.pts !== AV_NOPTS_VALUE && packet.pts + packet.duration <= 0n,
      take: createTaker(tracks, index === shown.index),
    });
  }
  return lanes;
}

function createTaker(tracks: readonly PumpedTrack[], isShown: boolean): (packet: Packet) => void {
  // Decoders go first: copying changes the packet's times.
  const decoded = tracks.filter(({ copies }) => !copies);
  const copied = tracks.filter(({ copies }) => copies);
  let hasKey = !isShown;
  return (packet) => {
    hasKey ||= packet.isKeyframe;
    for (const { work } of decoded) work.take(packet);
    if (hasKey) for (const { work } of copied) work.take(packet);
  };
}

/** Counts along the times of packets; tells nothing where no duration is known. */
function createProgress(
  duration: number,
  onProgress: (fraction: number) => void,
): { note(packet: Packet, seconds: number): void; report(): void } {
  let reached = 0;
  return {
    note(packet, seconds) {
      if (packet.dts !== AV_NOPTS_VALUE) reached = Math.max(reached, Number(packet.dts) * seconds);
    },
    report() {
      if (duration > 0) onProgress(Math.min(1, reached / duration));
    },
  };
}
