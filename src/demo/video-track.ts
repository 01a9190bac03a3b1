import {
  AV_CODEC_FLAG_BITEXACT,
  AV_CODEC_FLAG_INTERLACED_DCT,
  AV_CODEC_FLAG_INTERLACED_ME,
  AVCOL_PRI_BT2020,
  AVCOL_SPC_BT2020_NCL,
  AVCOL_TRC_SMPTE2084,
} from 'node-av/constants';
import type { CodecContext } from 'node-av/lib';
import { Rational } from 'node-av/lib';
import type { ClipSpec } from './clip-spec.ts';
import { CLIP_DEFAULTS } from './clip-spec.ts';
import type { Track, TrackTarget } from './encode-track.ts';
import { createTrack, findEncoder, openEncoder } from './encode-track.ts';
import { videoEncoder } from './encoders.ts';
import { openFrameSource, picturesFilter, toFraction } from './pictures.ts';

/**
 * Adds the pictures of a clip to the output.
 * @throws {FFmpegError} when the encoder does not take the specification.
 */
export function openVideoTrack(spec: ClipSpec, { output, flags }: TrackTarget): Track {
  const clip = { ...CLIP_DEFAULTS, ...spec };
  const choice = videoEncoder(clip.videoCodec ?? 'h264', spec.bitrate !== undefined);
  const pixelFormat = spec.pixelFormat ?? choice.pixelFormat ?? clip.pixelFormat;
  const pixelAspect = spec.pixelAspect ?? ([1, 1] as const);
  const source = openFrameSource(
    picturesFilter({ ...clip, pixelFormat, pixelAspect, interlaced: spec.interlaced === true }),
    'buffersink',
  );
  const { codec, context } = findEncoder(choice.encoder);
  const rate = toFraction(clip.frameRate);
  context.width = clip.width;
  context.height = clip.height;
  context.pixelFormat = source.sink.buffersinkGetFormat() as typeof context.pixelFormat; // a video sink's format
  context.timeBase = new Rational(rate.den, rate.num);
  context.framerate = new Rational(rate.num, rate.den);
  context.sampleAspectRatio = new Rational(pixelAspect[0], pixelAspect[1]);
  context.gopSize = Math.round(clip.frameRate * 2);
  if (spec.bitrate !== undefined) setBitrate(context, spec.bitrate);
  if (spec.reordered !== undefined) context.maxBFrames = spec.reordered;
  if (spec.hdr === true) setHdr(context);
  if (spec.interlaced === true) context.setFlags(AV_CODEC_FLAG_INTERLACED_DCT, AV_CODEC_FLAG_INTERLACED_ME);
  context.setFlags(AV_CODEC_FLAG_BITEXACT, ...flags);
  openEncoder(context, codec, choice.options);
  const rotation = displayMatrix(clip.rotation);
  return createTrack({ output, context, source, ...(rotation === null ? {} : { rotation }) });
}

function setBitrate(context: CodecContext, bitrate: number): void {
  context.bitRate = BigInt(bitrate);
  context.rcMinRate = BigInt(bitrate);
  context.rcMaxRate = BigInt(bitrate);
  context.rcBufferSize = bitrate;
}

function setHdr(context: CodecContext): void {
  context.colorPrimaries = AVCOL_PRI_BT2020;
  context.colorTrc = AVCOL_TRC_SMPTE2084;
  context.colorSpace = AVCOL_SPC_BT2020_NCL;
}

/**
 * The display matrix of a clockwise turn: nine numbers of 32 bits in the machine's order, 16.16 fixed point but for
 * the last column, which is 2.30 (ISO/IEC 14496-12, 8.2.2; libavutil/display.h). null for no turn.
 */
export function displayMatrix(degrees: number): Buffer | null {
  if (degrees === 0) return null;
  const cos = Math.round(Math.cos((degrees * Math.PI) / 180)) * 65_536;
  const sin = Math.round(Math.sin((degrees * Math.PI) / 180)) * 65_536;
  const matrix = Int32Array.of(cos, sin, 0, -sin, cos, 0, 0, 0, 1 << 30);
  return Buffer.from(matrix.buffer);
}
