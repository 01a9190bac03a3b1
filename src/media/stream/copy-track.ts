import { AV_NOPTS_VALUE, AVMEDIA_TYPE_AUDIO } from 'node-av/constants';
import type { Packet, Stream } from 'node-av/lib';
import { unitOf } from '../packets.ts';
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
  const { frameSize, videoDelay, codecType } = stream.codecpar;
  const settle = codecType === AVMEDIA_TYPE_AUDIO ? createAudioGrid(stream, frameSize) : undefined;
  let latest: bigint | undefined;

  return {
    take(packet) {
      complete(packet, { index, reorders: videoDelay > 0 });
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

/** Fills in what a container leaves out, where it follows from the rest. */
function complete(
  packet: Packet,
  { index, reorders }: { readonly index: number; readonly reorders: boolean },
): void {
  if (packet.dts === AV_NOPTS_VALUE && packet.pts === AV_NOPTS_VALUE)
    throw new CopyMisfitError([index], 'a packet tells no time');
  if (packet.pts === AV_NOPTS_VALUE) {
    if (reorders) throw new CopyMisfitError([index], 'a packet does not tell when it is shown');
    packet.pts = packet.dts;
  }
  if (packet.dts === AV_NOPTS_VALUE) {
    if (reorders) throw new CopyMisfitError([index], 'a packet does not tell when it is decoded');
    packet.dts = packet.pts;
  }
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
function createAudioGrid(stream: Stream, frameSize: number): (packet: Packet, rate: number) => void {
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
