import { AV_NOPTS_VALUE, AVMEDIA_TYPE_AUDIO } from 'node-av/constants';
import type { Packet, Stream } from 'node-av/lib';
import { frameRateOf, unitOf } from '../packets.ts';
import { CopyMisfitError, fitting } from './copy-misfit.ts';
import type { WrittenTrack } from './mp4-writer.ts';
import type { SourceTrack } from './source-track.ts';

/**
 * Copies a stream's packets as they are; their times alone are made to be what an MP4 can hold.
 * Its `take` throws CopyMisfitError for a packet that cannot be copied.
 */
export function copyTrack(stream: Stream, track: WrittenTrack): SourceTrack {
  const from = stream.timeBase;
  const { index } = stream;
  const complete = createCompleter(stream);
  const settle = stream.codecpar.codecType === AVMEDIA_TYPE_AUDIO ? createAudioGrid(stream) : undefined;
  let latest: bigint | undefined;

  return {
    take(packet) {
      complete(packet);
      const to = track.unit();
      packet.rescaleTs(from, to);
      settle?.(packet, to.den);
      if (latest !== undefined && packet.dts <= latest) delay(packet, latest + 1n);
      latest = packet.dts;
      fitting([index], () => track.write(packet));
    },
    end() {},
    free() {},
  };
}

/** Fills in what containers leave out, where it follows from the rest. */
function createCompleter(stream: Stream): (packet: Packet) => void {
  const { index, codecpar } = stream;
  const reorders = codecpar.videoDelay > 0;
  const usual = BigInt(Math.max(1, Math.round(1 / (frameRateOf(stream) ?? 25) / unitOf(stream))));
  /** When the next packet is to be decoded, as long as the container does not tell. */
  let due: bigint | undefined;
  let isTold = false;

  return (packet) => {
    if (packet.pts === AV_NOPTS_VALUE) {
      if (packet.dts === AV_NOPTS_VALUE || reorders)
        throw new CopyMisfitError([index], 'a packet does not tell when it is shown');
      packet.pts = packet.dts;
    }
    isTold ||= packet.dts !== AV_NOPTS_VALUE;
    if (packet.dts !== AV_NOPTS_VALUE) return;
    if (isTold && reorders) throw new CopyMisfitError([index], 'a packet does not tell when it is decoded');
    // Matroska tells when pictures are shown, and FFmpeg knows when they are decoded from the first one on that was reordered.
    due ??= packet.pts - BigInt(codecpar.videoDelay) * usual;
    packet.dts = reorders ? due : packet.pts;
    due += usual;
  };
}

/** Moves a packet that is to be decoded no later than the one before it: some containers round times, and joints overlap. */
function delay(packet: Packet, earliest: bigint): void {
  packet.dts = earliest;
  if (packet.pts < earliest) packet.pts = earliest;
}

/**
 * Puts packets of sound one behind the other where they lie so but for the rounding of their container, which counts in
 * milliseconds perhaps: else each would overlap the next one by a few samples, or leave a gap.
 */
function createAudioGrid(stream: Stream): (packet: Packet, rate: number) => void {
  const { frameSize } = stream.codecpar;
  const rounding = unitOf(stream);
  let due: bigint | undefined;
  return (packet, rate) => {
    const length = frameSize > 0 && rate === stream.codecpar.sampleRate ? BigInt(frameSize) : packet.duration;
    const slack = Math.ceil(rounding * rate);
    if (due !== undefined && Math.abs(Number(packet.dts - due)) <= slack) {
      packet.pts += due - packet.dts;
      packet.dts = due;
    }
    due = packet.dts + length;
  };
}
