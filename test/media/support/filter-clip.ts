import {
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_CODEC_FLAG_INTERLACED_DCT,
  AV_CODEC_FLAG_INTERLACED_ME,
  AV_LOG_QUIET,
} from 'node-av/constants';
import { FFmpegError, FormatContext, Log, Rational } from 'node-av/lib';
import { createTrack, findEncoder, openEncoder } from '../../../src/demo/encode-track.ts';
import { openFrameSource } from '../../../src/demo/pictures.ts';
import { displayMatrix } from '../../../src/demo/video-track.ts';

/** A clip of H.264 without sound, of whatever FFmpeg's filters make. */
export interface FilterClip {
  /** From a source such as testsrc2, or a file by movie=, on; with all that makes its size, rate and length. */
  readonly filters: string;
  /** How much is lost: 0 nothing, 51 most. */
  readonly crf?: number;
  /** Codes fields, and says so; the filters mark their order. */
  readonly interlaced?: boolean;
  /** Degrees clockwise by which it is turned when shown. */
  readonly rotation?: 0 | 90 | 180 | 270;
}

/**
 * Encodes a clip in this process.
 * @throws {FFmpegError} when FFmpeg does not take the filters
 */
export async function encodeFilterClip(path: string, clip: FilterClip): Promise<void> {
  Log.setLevel(AV_LOG_QUIET);
  const source = openFrameSource(`${clip.filters},format=yuv420p`, 'buffersink');
  const { codec, context } = findEncoder('libx264');
  context.width = source.sink.buffersinkGetWidth();
  context.height = source.sink.buffersinkGetHeight();
  context.pixelFormat = source.sink.buffersinkGetFormat() as typeof context.pixelFormat; // a video sink's format
  context.timeBase = source.sink.buffersinkGetTimeBase();
  context.framerate = source.sink.buffersinkGetFrameRate();
  context.sampleAspectRatio = new Rational(1, 1);
  context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
  if (clip.interlaced === true) context.setFlags(AV_CODEC_FLAG_INTERLACED_DCT, AV_CODEC_FLAG_INTERLACED_ME);
  openEncoder(context, codec, { preset: 'ultrafast', crf: String(clip.crf ?? 20) });
  await using output = new FormatContext();
  FFmpegError.throwIfError(output.allocOutputContext2(null, 'mp4', path), 'muxer');
  const rotation = displayMatrix(clip.rotation ?? 0);
  const track = createTrack({ output, context, source, ...(rotation === null ? {} : { rotation }) });
  try {
    FFmpegError.throwIfError(output.openOutputSync(), path);
    FFmpegError.throwIfError(output.writeHeaderSync(), 'header');
    while (track.step()) {
      // Nothing else is to be done here.
    }
    FFmpegError.throwIfError(output.writeTrailerSync(), 'trailer');
    output.closeOutputSync();
  } finally {
    track.close();
  }
}
