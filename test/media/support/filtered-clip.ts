import {
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AVCOL_PRI_BT2020,
  AVCOL_SPC_BT2020_NCL,
  AVCOL_TRC_SMPTE2084,
} from 'node-av/constants';
import { FFmpegError, FormatContext, Rational } from 'node-av/lib';
import { createTrack, findEncoder, openEncoder } from '../../../src/demo/encode-track.ts';
import { openFrameSource } from '../../../src/demo/pictures.ts';

export interface FilteredClip {
  /** FFmpeg's filters, from sources to one output, of `FRAME_RATE` frames a second. */
  readonly filters: string;
  readonly muxer?: string;
  readonly encoder?: string;
  readonly pixelFormat?: string;
  readonly pixelAspect?: readonly [number, number];
  /** A quarter of a turn, clockwise, when shown. */
  readonly turned?: boolean;
  /** BT.2020, PQ. */
  readonly pq?: boolean;
  /** Frames between two key frames. */
  readonly gop?: number;
}

export const FRAME_RATE = 25;

/** Writes what filters make of nothing as a file without sound. */
export async function makeFilteredClip(path: string, clip: FilteredClip): Promise<string> {
  await using output = new FormatContext();
  FFmpegError.throwIfError(output.allocOutputContext2(null, clip.muxer ?? 'mp4', path), 'muxer');
  const source = openFrameSource(
    `${clip.filters},settb=1/${FRAME_RATE},format=${clip.pixelFormat ?? 'yuv420p'}`,
    'buffersink',
  );
  const { codec, context } = findEncoder(clip.encoder ?? 'libx264');
  const [num, den] = clip.pixelAspect ?? [1, 1];
  context.width = source.sink.buffersinkGetWidth();
  context.height = source.sink.buffersinkGetHeight();
  context.pixelFormat = source.sink.buffersinkGetFormat() as typeof context.pixelFormat; // a video sink's format
  context.timeBase = new Rational(1, FRAME_RATE);
  context.framerate = new Rational(FRAME_RATE, 1);
  context.sampleAspectRatio = new Rational(num, den);
  context.gopSize = clip.gop ?? 50;
  context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
  if (clip.pq) {
    context.colorPrimaries = AVCOL_PRI_BT2020;
    context.colorTrc = AVCOL_TRC_SMPTE2084;
    context.colorSpace = AVCOL_SPC_BT2020_NCL;
  }
  openEncoder(context, codec, clip.encoder ? {} : { preset: 'ultrafast', crf: '18' });
  const turn = Buffer.from(Int32Array.of(0, 65_536, 0, -65_536, 0, 0, 0, 0, 1 << 30).buffer);
  const track = createTrack({ output, context, source, ...(clip.turned ? { rotation: turn } : {}) });
  try {
    FFmpegError.throwIfError(output.openOutputSync(), path);
    FFmpegError.throwIfError(output.writeHeaderSync(), 'header');
    while (track.step());
    FFmpegError.throwIfError(output.writeTrailerSync(), 'trailer');
    output.closeOutputSync();
  } finally {
    track.close();
  }
  return path;
}
