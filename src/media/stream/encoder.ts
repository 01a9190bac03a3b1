import {
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  type FFEncoderCodec,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, type Frame, Packet } from 'node-av/lib';
import type { WrittenTrack } from './mp4-writer.ts';

/**
 * An encoder by FFmpeg's name, set up and opened, for an MP4; to be freed by the caller.
 * @throws {FFmpegError} when it does not take its settings.
 */
export function openEncoder(name: string, setUp: (context: CodecContext) => void): CodecContext {
  const codec = Codec.findEncoderByName(name as FFEncoderCodec); // a branded string, checked by the look-up itself
  if (codec === null) throw new Error(`This FFmpeg has no encoder ${name}`);
  const context = new CodecContext();
  context.allocContext3(codec);
  try {
    setUp(context);
    context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
    FFmpegError.throwIfError(context.open2Sync(codec), `encoder ${name}`);
    return context;
  } catch (error) {
    context.freeContext();
    throw error;
  }
}

/** An encoder and the track that its packets go to. */
export interface TrackEncoder {
  /**
   * Encodes a frame whose times are in the encoder's unit; null at the end.
   * @throws {FFmpegError} when it cannot be encoded, or its packets cannot be written.
   */
  encode(frame: Frame | null): void;
  free(): void;
}

/** Writes what an opened encoder makes to a track. */
export function encodeInto(track: WrittenTrack, context: CodecContext): TrackEncoder {
  const packet = new Packet();
  packet.alloc();
  const unit = context.timeBase;
  return {
    encode(frame) {
      FFmpegError.throwIfError(context.sendFrameSync(frame), 'encoder');
      for (;;) {
        const code = context.receivePacketSync(packet);
        if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return;
        FFmpegError.throwIfError(code, 'encoder');
        packet.rescaleTs(unit, track.unit());
        track.write(packet);
        packet.unref();
      }
    },
    free: () => packet.free(),
  };
}
