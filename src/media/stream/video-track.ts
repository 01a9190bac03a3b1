import { setImmediate as nextTurn } from 'node:timers/promises';
import { AV_NOPTS_VALUE, AV_PICTURE_TYPE_I, AV_PICTURE_TYPE_NONE } from 'node-av/constants';
import { type CodecContext, Frame, type Packet, type Rational, type Stream } from 'node-av/lib';
import { isClean, openDecoder } from '../decode.ts';
import { frameRateOf, unitOf } from '../packets.ts';
import type { Size } from '../picture.ts';
import { threadsFor } from '../threads.ts';
import { encodeInto } from './encoder.ts';
import { type FilterPipe, openFilterPipe } from './filter-pipe.ts';
import type { WrittenTrack } from './mp4-writer.ts';
import type { PictureLook } from './source-facts.ts';
import type { SourceTrack } from './source-track.ts';
import { KEY_SECONDS } from './video-encoder.ts';
import { filtersTo, formatOf, stampHdr } from './video-filters.ts';

/** A rendition that is to be made. */
export interface Rendition {
  readonly size: Size;
  readonly context: CodecContext;
  readonly track: WrittenTrack;
}

/**
 * Decodes a stream's pictures once and encodes them for each rendition. What is damaged before the first flawless picture is
 * left out.
 * @throws {MediaRejectedError} when no decoder takes the stream.
 */
export async function encodeVideoTrack(
  stream: Stream,
  look: PictureLook,
  renditions: readonly Rendition[],
): Promise<SourceTrack> {
  const decoder = await openDecoder(stream, { threads: threadsFor(stream.codecpar) });
  const frame = new Frame();
  frame.alloc();
  const outputs = renditions.map(({ context, track, size }) => ({
    size,
    keys: createKeyClock(context.timeBase),
    unit: context.timeBase,
    encoder: encodeInto(track, context),
  }));
  const times = createFrameTimes(stream);
  let pipe: FilterPipe | undefined;
  let format: string | undefined;
  let hasBegun = false;

  function drain(): void {
    for (const [end, { encoder, keys, unit }] of pipe ? outputs.entries() : []) {
      const from = pipe?.unit(end);
      for (const picture of pipe?.read(end) ?? []) {
        if (from) rescale(picture, from, unit);
        if (keys.mark(picture)) encoder.encode(picture);
      }
    }
  }

  function endPipe(): void {
    pipe?.feed(null);
    drain();
    pipe?.free();
    pipe = undefined;
  }

  function filter(): void {
    if (look.hdr) stampHdr(frame, stream);
    const its = formatOf(frame, stream);
    if (its !== format) {
      endPipe();
      pipe = openFilterPipe(
        filtersTo(
          outputs.map(({ size }) => size),
          look,
          its,
        ),
      );
      format = its;
    }
    pipe?.feed(frame);
    drain();
  }

  /** Goes on from frame to frame as it is asked to. */
  function* decode(packet: Packet | null): Generator<void> {
    // A packet that cannot be decoded is one picture less, or a few.
    decoder.sendPacketSync(packet);
    while (decoder.receiveFrameSync(frame) >= 0) {
      hasBegun ||= isClean(frame);
      if (hasBegun && frame.width > 0 && times.settle(frame)) filter();
      frame.unref();
      yield;
    }
  }

  return {
    take(packet) {
      for (const _ of decode(packet));
    },
    async end() {
      for (const _ of decode(null)) await nextTurn();
      endPipe();
      for (const { encoder } of outputs) await encoder.finish();
    },
    free() {
      pipe?.free();
      for (const { encoder } of outputs) encoder.free();
      frame.free();
      decoder.freeContext();
    },
  };
}

/** Gives frames the times that they are shown at; false for one that is shown no later than the one before it. */
function createFrameTimes(stream: Stream): { settle(frame: Frame): boolean } {
  const usual = BigInt(Math.max(1, Math.round(1 / (frameRateOf(stream) ?? 25) / unitOf(stream))));
  let latest: bigint | undefined;
  return {
    settle(frame) {
      const told = frame.bestEffortTimestamp;
      const at = told === AV_NOPTS_VALUE ? (latest === undefined ? 0n : latest + usual) : told;
      if (latest !== undefined && at <= latest) return false;
      latest = at;
      frame.pts = at;
      if (frame.duration <= 0n) frame.duration = usual;
      return true;
    },
  };
}

/** Asks for key pictures at the same times in every rendition; false for a frame that falls on the one before it. */
function createKeyClock(unit: Rational): { mark(picture: Frame): boolean } {
  const seconds = unit.num / unit.den;
  let due = Number.NEGATIVE_INFINITY;
  let latest: bigint | undefined;
  return {
    mark(picture) {
      if (latest !== undefined && picture.pts <= latest) return false;
      latest = picture.pts;
      const at = Number(picture.pts) * seconds;
      const isKey = at >= due;
      if (isKey) due = (Math.floor(at / KEY_SECONDS + 1e-6) + 1) * KEY_SECONDS;
      picture.pictType = isKey ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
      return true;
    },
  };
}

function rescale(picture: Frame, from: Rational, to: Rational): void {
  if (from.num === to.num && from.den === to.den) return;
  picture.pts = convert(picture.pts, from, to);
  picture.duration = convert(picture.duration, from, to);
}

function convert(value: bigint, from: Rational, to: Rational): bigint {
  const numerator = value * BigInt(from.num) * BigInt(to.den) * 2n;
  const denominator = BigInt(from.den) * BigInt(to.num);
  // Rounded to the nearest; half of the denominator is added before the division.
  return (numerator + (value < 0n ? -denominator : denominator)) / (2n * denominator);
}
