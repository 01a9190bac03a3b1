import { availableParallelism } from 'node:os';
import {
  AV_PIX_FMT_YUV420P,
  AVCOL_PRI_BT709,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT709,
  AVCOL_SPC_RGB,
  AVCOL_SPC_SMPTE170M,
  AVCOL_SPC_UNSPECIFIED,
  AVCOL_TRC_BT709,
  type AVColorSpace,
} from 'node-av/constants';
import { type CodecContext, FFmpegError, Rational, type Stream } from 'node-av/lib';
import { frameRateOf } from '../packets.ts';
import type { Size } from '../picture.ts';
import { threadsFor } from '../threads.ts';
import { openEncoder } from './encoder.ts';

/** A key picture comes about every two seconds, by the time and not by the count. */
export const KEY_SECONDS = 2;

const SETTINGS: ReadonlyMap<string, string> = new Map([
  ['preset', 'veryfast'],
  ['crf', '23'],
  ['profile', 'high'],
  // Key pictures are those that are asked for, so that those of all renditions are at the same times.
  ['forced-idr', '1'],
  ['sc_threshold', '0'],
]);

/** What encoders of a stream's pictures are to be told. */
export interface VideoEncoderOptions {
  readonly stream: Stream;
  /** Even pixels. */
  readonly size: Size;
  /** Whether the pictures were made SDR from HDR. */
  readonly wasHdr: boolean;
}

/**
 * An encoder of H.264 that every player takes, opened.
 * @throws {FFmpegError}
 */
export function openVideoEncoder({ stream, size, wasHdr }: VideoEncoderOptions): CodecContext {
  const frameRate = frameRateOf(stream) ?? 25;
  return openEncoder('libx264', (context) => {
    // What x264 starts by itself on sixteen cores, one and a half for each, holds more of 4K than a process may.
    context.threadCount = threadsFor(size, availableParallelism() * 1.5);
    context.width = size.width;
    context.height = size.height;
    context.pixelFormat = AV_PIX_FMT_YUV420P;
    context.sampleAspectRatio = new Rational(1, 1);
    context.timeBase = unitFor(stream);
    context.framerate = rateOf(stream);
    context.gopSize = Math.ceil(frameRate * KEY_SECONDS * 2);
    setColours(context, stream, wasHdr);
    for (const [name, value] of SETTINGS) {
      FFmpegError.throwIfError(context.setOption(name, value), `x264 option ${name}`);
    }
  });
}

/** The stream's own unit, so that times stay exact; another one where it is too coarse or too fine for an MP4. */
function unitFor(stream: Stream): Rational {
  const { num, den } = stream.timeBase;
  const isUsual = num > 0 && den / num >= 10 && den <= 1_000_000;
  return isUsual ? new Rational(num, den) : new Rational(1, 90_000);
}

function rateOf(stream: Stream): Rational {
  const rate = frameRateOf(stream);
  const told = [stream.avgFrameRate, stream.rFrameRate].find(({ num, den }) => den > 0 && num / den === rate);
  return told ?? new Rational(25, 1);
}

function setColours(context: CodecContext, { codecpar }: Stream, wasHdr: boolean): void {
  context.colorRange = AVCOL_RANGE_MPEG;
  if (wasHdr) {
    context.colorSpace = AVCOL_SPC_BT709;
    context.colorPrimaries = AVCOL_PRI_BT709;
    context.colorTrc = AVCOL_TRC_BT709;
    return;
  }
  context.colorSpace = colorSpaceOf(codecpar);
  context.colorPrimaries = codecpar.colorPrimaries;
  context.colorTrc = codecpar.colorTrc;
}

/** What players would take for granted by the size of the original: a smaller rendition must not look different. */
function colorSpaceOf({
  colorSpace,
  height,
}: {
  readonly colorSpace: AVColorSpace;
  readonly height: number;
}): AVColorSpace {
  if (colorSpace === AVCOL_SPC_RGB) return AVCOL_SPC_BT709;
  if (colorSpace !== AVCOL_SPC_UNSPECIFIED) return colorSpace;
  return height >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
}
