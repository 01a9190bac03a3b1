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
/** A sound that goes on so much later is none: a few wrong bytes must not become days of silence. */
const LONGEST_GAP_SECONDS = 600;
/** The event loop has a turn so often, so that progress leaves the process. */
const TURN_MS = 50;

/** Reads a file to its end, or as far as it can be read, and hands each packet to the tracks of its stream. */
export async function pumpPackets(video: OpenVideo, options: PumpOptions): Promise<void> {
  const { context } = video;
  const lanes = createLanes(video, options);
  const clock = createSourceClock({ origin: options.origin, mayJump: MAY_JUMP.has(video.demuxer) });
  const progress = createProgress(
    { duration: Number(context.duration) / 1e6, size: video.source.size },
    options.onProgress,
  );
  const packet = new Packet();
  packet.alloc();
  let turnAt = performance.now() + TURN_MS;
  try {
    // Whatever ends it, the end of the file or damage: what was read so far is what can be shown.
    while (context.readFrameSync(packet) >= 0) {
      const lane = lanes.get(packet.streamIndex);
      progress.read(packet);
      if (lane) {
        clock.shift(packet, lane.unit);
        if (!lane.isSkipped(packet, progress.reached())) {
          progress.note(packet, lane.seconds);
          lane.take(packet);
        }
      }
      packet.unref();
      if (performance.now() < turnAt) continue;
      progress.report();
      await nextTurn();
      turnAt = performance.now() + TURN_MS;
    }
    for (const { work } of options.tracks) await work.end();
  } finally {
    packet.free();
  }
}

/** All that is made of one stream. */
interface Lane {
  readonly unit: Rational;
  readonly seconds: number;
  /** `reached`: seconds of the presentation that were read so far. */
  isSkipped(packet: Packet, reached: number): boolean;
  take(packet: Packet): void;
}

function createLanes({ stream: shown, context }: OpenVideo, options: PumpOptions): ReadonlyMap<number, Lane> {
  const told = Math.max(0, Number(context.duration) / 1e6);
  const streams = new Map(options.tracks.map(({ stream }) => [stream.index, stream]));
  const lanes = new Map<number, Lane>();
  for (const [index, stream] of streams) {
    const tracks = options.tracks.filter((track) => track.stream.index === index);
    const seconds = unitOf(stream);
    const isShown = index === shown.index;
    const trims = options.trimsStart && !isShown;
    lanes.set(index, {
      unit: stream.timeBase,
      seconds,
      isSkipped(packet, reached) {
        if (isShown || packet.pts === AV_NOPTS_VALUE) return false;
        const at = Number(packet.pts) * seconds;
        return (
          at > Math.max(told, reached) + LONGEST_GAP_SECONDS || (trims && packet.pts + packet.duration <= 0n)
        );
      },
      take: createTaker(tracks, isShown),
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

/**
 * Counts along the times of packets, or their places in the file where no duration is known: recordings of a browser tell
 * none, and work that tells of no progress is taken to hang.
 */
function createProgress(
  { duration, size }: { readonly duration: number; readonly size: number },
  onProgress: (fraction: number) => void,
): {
  read(packet: Packet): void;
  note(packet: Packet, seconds: number): void;
  reached(): number;
  report(): void;
} {
  let reached = 0;
  let place = 0;
  return {
    read(packet) {
      place = Math.max(place, Number(packet.pos));
    },
    note(packet, seconds) {
      if (packet.dts !== AV_NOPTS_VALUE) reached = Math.max(reached, Number(packet.dts) * seconds);
    },
    reached: () => reached,
    report: () => onProgress(Math.min(1, duration > 0 ? reached / duration : place / size)),
  };
}
