import type { AVCodecFlag, FFEncoderCodec } from 'node-av/constants';
import { AV_PICTURE_TYPE_NONE, AV_PKT_DATA_DISPLAYMATRIX, AVERROR_EOF } from 'node-av/constants';
import type { FormatContext } from 'node-av/lib';
import { Codec, CodecContext, FFmpegError, Frame, Packet } from 'node-av/lib';
import type { FrameSource } from './pictures.ts';

/** One track that is being encoded. */
export interface Track {
  /** How far it is, in seconds. */
  position(): number;
  /** Encodes one frame; false when the track is done. */
  step(): boolean;
  close(): void;
}

/** Where a track's packets go, and the encoder flags that the container asks for. */
export interface TrackTarget {
  readonly output: FormatContext;
  readonly flags: readonly AVCodecFlag[];
}

/** A track to be made: an opened encoder, and the filter graph that feeds it. */
export interface TrackOptions {
  readonly output: FormatContext;
  readonly context: CodecContext;
  readonly source: FrameSource;
  /** A display matrix for the stream. */
  readonly rotation?: Buffer;
}

/** Adds a stream to the output, and encodes its frames one by one. */
export function createTrack({ output, context, source, rotation }: TrackOptions): Track {
  const stream = output.newStream(null);
  stream.timeBase = context.timeBase;
  stream.avgFrameRate = context.framerate;
  stream.sampleAspectRatio = context.sampleAspectRatio;
  FFmpegError.throwIfError(stream.codecpar.fromContext(context), 'stream');
  if (rotation !== undefined) stream.codecpar.addCodedSideData(AV_PKT_DATA_DISPLAYMATRIX, rotation);
  const frame = new Frame();
  frame.alloc();
  const packet = new Packet();
  packet.alloc();
  let seconds = 0;

  const writePackets = (): void => {
    while (context.receivePacketSync(packet) >= 0) {
      packet.streamIndex = stream.index;
      packet.rescaleTs(context.timeBase, stream.timeBase);
      FFmpegError.throwIfError(output.interleavedWriteFrameSync(packet), 'packet');
    }
  };

  return {
    position: () => seconds,
    step: () => {
      const got = source.sink.buffersinkGetFrameSync(frame);
      if (got !== AVERROR_EOF) FFmpegError.throwIfError(got, 'frame');
      const ended = got === AVERROR_EOF;
      if (!ended) seconds = Number(frame.pts) * context.timeBase.toDouble();
      // An encoder that kept the source's picture types would make every frame a key frame.
      if (!ended) frame.pictType = AV_PICTURE_TYPE_NONE;
      FFmpegError.throwIfError(context.sendFrameSync(ended ? null : frame), 'encoder');
      frame.unref();
      writePackets();
      return !ended;
    },
    close: () => {
      packet.free();
      frame.free();
      context.freeContext();
      source[Symbol.dispose]();
    },
  };
}

/**
 * An encoder by FFmpeg's name, not opened yet.
 * @throws when this FFmpeg has none of that name.
 */
export function findEncoder(name: string): { readonly codec: Codec; readonly context: CodecContext } {
  const codec = Codec.findEncoderByName(name as FFEncoderCodec); // a branded string, checked by the look-up itself
  if (codec === null) throw new Error(`This FFmpeg has no encoder ${name}`);
  const context = new CodecContext();
  context.allocContext3(codec);
  // One thread: what a threaded encoder writes may depend on the machine's number of cores.
  context.threadCount = 1;
  return { codec, context };
}

/**
 * Opens an encoder with options of its own.
 * @throws {FFmpegError} when it does not take them.
 */
export function openEncoder(
  context: CodecContext,
  codec: Codec,
  settings: Readonly<Record<string, string>>,
): void {
  // Set one by one: open2 frees a dictionary that it is given, and its wrapper would free it once more.
  for (const [name, value] of Object.entries(settings)) {
    FFmpegError.throwIfError(context.setOption(name, value), `${codec.name} option ${name}`);
  }
  FFmpegError.throwIfError(context.open2Sync(codec), `encoder ${codec.name}`);
}
