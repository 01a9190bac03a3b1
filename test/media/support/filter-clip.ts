import {
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_CODEC_FLAG_INTERLACED_DCT,
  AV_CODEC_FLAG_INTERLACED_ME,
  AV_LOG_QUIET,
  AVCOL_PRI_BT2020,
  AVCOL_SPC_BT2020_NCL,
  AVCOL_TRC_SMPTE2084,
} from 'node-av/constants';
import { FFmpegError, FormatContext, Log, Rational } from 'node-av/lib';
import { findEncoder, openEncoder } from '../../../src/demo/encode-track.ts';
import { openFrameSource } from '../../../src/demo/pictures.ts';
import { displayMatrix } from '../../../src/demo/video-track.ts';
import { writeTrack } from './write-track.ts';

/** A clip without sound, of whatever FFmpeg's filters make. */
export interface FilterClip {
  /** From a source such as testsrc2, or a file by movie=, on; with all that makes its size, rate and length. */
  readonly filters: string;
  /** Frames a second that it is said to have; what the filters say unless given. */
  readonly frameRate?: number;
  /** FFmpeg's names; mp4, libx264 and yuv420p unless given. */
  readonly muxer?: string;
  readonly encoder?: string;
  readonly pixelFormat?: string;
  /** How much is lost by libx264: 0 nothing, 51 most. */
  readonly crf?: number;
  /** Frames between two key frames; the encoder's own choice unless given. */
  readonly gop?: number;
  /** Codes fields, and says so; the filters mark their order. */
  readonly interlaced?: boolean;
  /** Degrees clockwise by which it is turned when shown. */
  readonly rotation?: 0 | 90 | 180 | 270;
  /** Width to height of a pixel. */
  readonly pixelAspect?: readonly [number, number];
  /** BT.2020, PQ. */
  readonly pq?: boolean;
}

/**
 * Encodes a clip in this process.
 * @throws {FFmpegError} when FFmpeg does not take the filters
 */
export async function encodeFilterClip(path: string, clip: FilterClip): Promise<void> {
  Log.setLevel(AV_LOG_QUIET);
  const source = openFrameSource(`${clip.filters},format=${clip.pixelFormat ?? 'yuv420p'}`, 'buffersink');
  const { codec, context } = findEncoder(clip.encoder ?? 'libx264');
  const { sink } = source;
  context.width = sink.buffersinkGetWidth();
  context.height = sink.buffersinkGetHeight();
  context.pixelFormat = sink.buffersinkGetFormat() as typeof context.pixelFormat; // a video sink's format
  context.timeBase = sink.buffersinkGetTimeBase();
  context.framerate = clip.frameRate ? new Rational(clip.frameRate, 1) : sink.buffersinkGetFrameRate();
  context.sampleAspectRatio = new Rational(...(clip.pixelAspect ?? ([1, 1] as const)));
  if (clip.gop !== undefined) context.gopSize = clip.gop;
  context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
  if (clip.interlaced === true) context.setFlags(AV_CODEC_FLAG_INTERLACED_DCT, AV_CODEC_FLAG_INTERLACED_ME);
  if (clip.pq === true) {
    context.colorPrimaries = AVCOL_PRI_BT2020;
    context.colorTrc = AVCOL_TRC_SMPTE2084;
    context.colorSpace = AVCOL_SPC_BT2020_NCL;
  }
  const isX264 = clip.encoder === undefined || clip.encoder === 'libx264';
  openEncoder(context, codec, isX264 ? { preset: 'ultrafast', crf: String(clip.crf ?? 20) } : {});
  await using output = new FormatContext();
  FFmpegError.throwIfError(output.allocOutputContext2(null, clip.muxer ?? 'mp4', path), 'muxer');
  writeTrack(path, { output, context, source, rotation: displayMatrix(clip.rotation ?? 0) });
}
